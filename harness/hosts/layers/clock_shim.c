/* A calendar clock that can be set wrong, preloaded into a program.
 *
 * 1. Only the calendar clock is wrong. The monotonic clock, timers and the times of files stay right, so sleeps and
 *    timeouts take as long as they say.
 * 2. How wrong is in a page that the harness writes (SPLITBRAIN_CLOCK); a change is seen by the next read of the clock.
 * 3. Each reading leaves behind by how much it was ahead, and under which setting: that is the evidence.
 * 4. Without the page, or before anything is set, the clock is the machine's.
 *
 * It is linked against nothing: the symbols it needs are those of whatever libc the program has.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <dlfcn.h>

#define SECOND 1000000000LL

struct page {
    /* Written by the harness, in one write from front to back: equal numbers at both ends mean that it is whole. */
    volatile uint64_t number;
    volatile int64_t offset_ns;
    volatile int64_t anchor_ns;
    volatile double drift;
    volatile uint64_t again;
    uint64_t unused[3];
    /* Written here. */
    volatile int64_t ahead_ns;
    volatile uint64_t under;
    uint64_t readings;
};

static struct page *page;

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("SPLITBRAIN_CLOCK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *found = mmap(0, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        page = found;
}

static int true_clock(clockid_t id, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return next ? next(id, now) : (int)syscall(SYS_clock_gettime, id, now);
}

static void mislead(struct timespec *now) {
    int64_t real = now->tv_sec * SECOND + now->tv_nsec, offset, anchor, wrong;
    uint64_t again;
    double drift;
    do {
        again = __atomic_load_n(&page->again, __ATOMIC_ACQUIRE);
        offset = page->offset_ns;
        anchor = page->anchor_ns;
        drift = page->drift;
    } while (__atomic_load_n(&page->number, __ATOMIC_ACQUIRE) != again);
    offset += (int64_t)(drift * (double)(real - anchor));
    page->ahead_ns = offset;
    page->under = again;
    __atomic_fetch_add(&page->readings, 1, __ATOMIC_RELEASE);
    wrong = real + offset;
    if (wrong < 0)
        wrong = 0;
    now->tv_sec = wrong / SECOND;
    now->tv_nsec = wrong % SECOND;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = true_clock(id, now);
    if (!failed && page && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        mislead(now);
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *where) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}
