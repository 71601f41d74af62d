/* A disk that can lose what was not synced, fill up, fail and stall, preloaded into a program.
 *
 * 1. It concerns regular files below the program's data folder (SPLITBRAIN_DATA), and their names. All else passes.
 * 2. Before a write or a truncation takes place, what was there is appended to a log of that file; a sync of the file
 *    removes the log. So the logs hold just what a power cut would undo.
 * 3. New, changed and removed names are logged after they succeeded. A sync of the file or of its folder makes them
 *    durable, as on ext4 and XFS. What a removed or replaced name led to is kept under another name until then.
 * 4. Logs are opened by path for each record, and a record is one write: threads, forks and processes that close all
 *    their descriptors do no harm.
 * 5. While a sync is under way, its file's log stands aside under another name: what is written meanwhile is not synced.
 * 6. Writes through mmap are not seen, and count as durable (sqlite's -shm is such a file, and is made anew after a
 *    crash). A file opened for writing by stdio sets `blind`: a power cut would be a lie, and is refused.
 *
 * The logs are in SPLITBRAIN_DISK, on a tmpfs: `undo/<inode>` and `names`; undo_log.py plays them back. Kept files are
 * in `<data>.undo`. It is linked against nothing: the symbols it needs are those of whatever libc the program has.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 8192
#define SLICE_NS 10000000LL
#define PATH_BYTES (PATH_MAX + 64)
#define FOLDER_BYTES 1024

enum kind { WRITE = 1, MORE, CREATE, RENAME, UNLINK, MKDIR, RMDIR, SYNC };
enum blindness { STDIO = 1, LOG_FULL = 2, NOT_KEPT = 4 };

struct record {
    uint64_t at_ns;
    uint64_t kind;
    uint64_t file, folder;
    int64_t offset, size;
    uint64_t kept; /* the number of what is kept of a name; when a sync began */
    uint64_t new_bytes;
    uint64_t first, second; /* lengths of what follows: old bytes; or a path, and the path it got */
};

struct page {
    /* Written by the harness. */
    volatile uint64_t full, failing, stall_ns;
    uint64_t unused[5];
    /* Written here. */
    uint64_t refused, stalled, blind, kept, names;
};

static struct page *page;
static char data[FOLDER_BYTES], logs[FOLDER_BYTES];
static size_t data_length;

/* By the kernel, as older libcs have no such symbols. */
static int about(int fd, struct stat *st) { return syscall(SYS_fstat, fd, st); }
static int about_name(int at, const char *name, struct stat *st, int flags) {
    return syscall(SYS_newfstatat, at, name, st, flags);
}

__attribute__((constructor)) static void load(void) {
    const char *folder = getenv("SPLITBRAIN_DISK"), *below = getenv("SPLITBRAIN_DATA");
    if (!folder || !below || strlen(folder) >= FOLDER_BYTES || strlen(below) >= FOLDER_BYTES)
        return;
    strcpy(data, below);
    strcpy(logs, folder);
    data_length = strlen(data);
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/page", logs);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    void *found = mmap(0, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found != MAP_FAILED)
        page = found;
}

static uint64_t now_ns(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void add(uint64_t *counter, uint64_t flag) {
    if (flag)
        __atomic_fetch_or(counter, flag, __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static int within(const char *path) {
    return !strncmp(path, data, data_length) && (path[data_length] == '/' || !path[data_length]);
}

/* The path of what a descriptor stands for, if it is below the data folder. */
static int located(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return within(path);
}

/* Whether it is a regular file below the data folder. */
static int tracked(int fd, struct stat *st) {
    char path[PATH_BYTES];
    return page && !about(fd, st) && S_ISREG(st->st_mode) && st->st_nlink && located(fd, path);
}

static void append(const char *log, struct record *record, const void *first, const void *second) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", logs, log);
    record->at_ns = now_ns();
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct iovec parts[3] = {
        {record, sizeof *record}, {(void *)first, record->first}, {(void *)second, record->second}};
    ssize_t whole = sizeof *record + record->first + record->second;
    if (fd < 0 || syscall(SYS_writev, fd, parts, 3) != whole)
        add(&page->blind, LOG_FULL);
    if (fd >= 0)
        syscall(SYS_close, fd);
}

/* Log what a stretch of a file holds, and its size. new_bytes: of what will be written there; 0 for a truncation. */
static void log_stretch(int fd, const struct stat *st, int64_t offset, int64_t length, int written) {
    char log[64], link[64], old[CHUNK];
    snprintf(log, sizeof log, "undo/%llu", (unsigned long long)st->st_ino);
    int source = -1;
    struct record record = {.kind = WRITE, .file = st->st_ino, .size = st->st_size, .offset = offset};
    do {
        int64_t there = st->st_size - record.offset;
        there = there < 0 ? 0 : there < length ? there : length;
        record.first = 0;
        if (there) {
            if (source < 0) { /* the program's own may be for writing only */
                snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
                source = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
            }
            ssize_t got = syscall(SYS_pread64, source, old, there < CHUNK ? there : CHUNK, record.offset);
            record.first = got > 0 ? got : 0;
        }
        int64_t step = record.first ? (int64_t)record.first : length;
        record.new_bytes = written ? step : 0;
        append(log, &record, old, 0);
        record.kind = MORE;
        record.offset += step;
        length -= step;
    } while (length > 0);
    if (source >= 0)
        syscall(SYS_close, source);
}

static void log_name(enum kind kind, uint64_t file, uint64_t folder, uint64_t kept, const char *path, const char *to) {
    struct record record = {.kind = kind, .file = file, .folder = folder, .kept = kept};
    record.first = path ? strlen(path) : 0;
    record.second = to ? strlen(to) : 0;
    append("names", &record, path, to);
    add(&page->names, 0); /* afterwards: a sync in between notes one too many, not one too few */
}

/* Where a name is: its canonical path and its folder's inode, if it is below the data folder. */
static int placed(int at, const char *name, char *path, uint64_t *folder) {
    if (!page || !name || strlen(name) >= PATH_MAX)
        return 0;
    char upper[PATH_BYTES];
    strcpy(upper, name);
    size_t end = strlen(upper);
    while (end > 1 && upper[end - 1] == '/')
        upper[--end] = 0;
    char *slash = strrchr(upper, '/');
    const char *last = slash ? slash + 1 : upper, *above = ".";
    char base[NAME_MAX + 1];
    if (strlen(last) > NAME_MAX || !*last)
        return 0;
    strcpy(base, last);
    if (slash) {
        slash[slash == upper] = 0;
        above = upper;
    }
    int saved = errno;
    int fd = syscall(SYS_openat, at, above, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    struct stat st;
    int found = fd >= 0 && !about(fd, &st) && located(fd, path) && strlen(path) + strlen(base) + 2 < PATH_MAX;
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = saved;
    if (!found)
        return 0;
    *folder = st.st_ino;
    strcat(strcat(path, "/"), base);
    return 1;
}

/* Keep what a path leads to under another name; 0 if that fails. */
static uint64_t keep(const char *path, uint64_t folder) {
    uint64_t number = __atomic_add_fetch(&page->kept, 1, __ATOMIC_RELAXED);
    char to[PATH_BYTES];
    snprintf(to, sizeof to, "%s.undo/%llu.%llu", data, (unsigned long long)folder, (unsigned long long)number);
    if (!syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0))
        return number;
    add(&page->blind, NOT_KEPT);
    return 0;
}

static void unkeep(uint64_t folder, uint64_t number) {
    char path[PATH_BYTES];
    int saved = errno;
    snprintf(path, sizeof path, "%s.undo/%llu.%llu", data, (unsigned long long)folder, (unsigned long long)number);
    syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    errno = saved;
}

/* The names in a folder are durable: what was kept of it is not needed, nor the logs of files that end with that. */
static void forget_kept(uint64_t folder) {
    char path[PATH_BYTES], prefix[32], log[PATH_BYTES];
    snprintf(path, sizeof path, "%s.undo", data);
    int length = folder ? snprintf(prefix, sizeof prefix, "%llu.", (unsigned long long)folder) : 0;
    DIR *kept = opendir(path);
    struct dirent *entry;
    struct stat st;
    while (kept && (entry = readdir(kept))) {
        if (entry->d_name[0] == '.' || (length && strncmp(entry->d_name, prefix, length)))
            continue;
        snprintf(path, sizeof path, "%s.undo/%s", data, entry->d_name);
        if (!about_name(AT_FDCWD, path, &st, 0) && st.st_nlink == 1) {
            snprintf(log, sizeof log, "%s/undo/%llu", logs, (unsigned long long)st.st_ino);
            syscall(SYS_unlinkat, AT_FDCWD, log, 0);
        }
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    if (kept)
        closedir(kept);
}

static int refuse(int number) {
    add(&page->refused, 0);
    errno = number;
    return -1;
}

/* -1, with errno, if the disk takes no write now. */
static int unwritable(void) { return page->failing ? refuse(EIO) : page->full ? refuse(ENOSPC) : 0; }

/* ---- writes ---- */

static long done_syncing(const struct stat *st, long result, int flags);

static int before_write(int fd, struct stat *st, int64_t offset, int64_t length) {
    if (unwritable())
        return -1;
    if (offset < 0)
        offset = fcntl(fd, F_GETFL) & O_APPEND ? st->st_size : lseek(fd, 0, SEEK_CUR);
    if (length > 0)
        log_stretch(fd, st, offset, length, 1);
    return 0;
}

static int64_t total(const struct iovec *parts, int count) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += parts[i].iov_len;
    return sum;
}

#define WRITING(fd, offset, length, call)                                                                              \
    do {                                                                                                               \
        struct stat st;                                                                                                \
        if (!tracked(fd, &st))                                                                                         \
            return call;                                                                                               \
        if (before_write(fd, &st, offset, length))                                                                     \
            return -1;                                                                                                 \
        return done_syncing(&st, call, fcntl(fd, F_GETFL));                                                        \
    } while (0)

ssize_t write(int fd, const void *from, size_t n) { WRITING(fd, -1, n, syscall(SYS_write, fd, from, n)); }
ssize_t writev(int fd, const struct iovec *v, int n) { WRITING(fd, -1, total(v, n), syscall(SYS_writev, fd, v, n)); }

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    WRITING(fd, at, n, syscall(SYS_pwrite64, fd, from, n, at));
}
ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));

ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags) {
    WRITING(fd, at, total(v, n), syscall(SYS_pwritev2, fd, v, n, at, 0L, flags));
}
ssize_t pwritev64v2(int, const struct iovec *, int, off64_t, int) __attribute__((alias("pwritev2")));
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { return pwritev2(fd, v, n, at, 0); }
ssize_t pwritev64(int, const struct iovec *, int, off64_t) __attribute__((alias("pwritev")));

ssize_t sendfile(int fd, int from, off_t *at, size_t n) { WRITING(fd, -1, n, syscall(SYS_sendfile, fd, from, at, n)); }
ssize_t sendfile64(int, int, off64_t *, size_t) __attribute__((alias("sendfile")));

ssize_t copy_file_range(int from, off64_t *at, int fd, off64_t *to, size_t n, unsigned flags) {
    WRITING(fd, to ? *to : -1, n, syscall(SYS_copy_file_range, from, at, fd, to, n, flags));
}

int fallocate(int fd, int mode, off_t at, off_t n) { WRITING(fd, at, n, syscall(SYS_fallocate, fd, mode, at, n)); }
int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));
int posix_fallocate(int fd, off_t at, off_t n) {
    int saved = errno, failed = fallocate(fd, 0, at, n) ? errno : 0;
    errno = saved;
    return failed;
}
int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));

static int before_truncate(int fd, const struct stat *st, off_t to) {
    if (page->failing ? refuse(EIO) : page->full && to > st->st_size ? refuse(ENOSPC) : 0)
        return -1;
    log_stretch(fd, st, to < st->st_size ? to : st->st_size, st->st_size - to, 0);
    return 0;
}

int ftruncate(int fd, off_t to) {
    struct stat st;
    if (tracked(fd, &st) && st.st_size != to && before_truncate(fd, &st, to))
        return -1;
    return syscall(SYS_ftruncate, fd, to);
}
int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));

int truncate(const char *path, off_t to) {
    int fd = page ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0) : -1;
    if (fd < 0)
        return syscall(SYS_truncate, path, to);
    int failed = ftruncate(fd, to);
    syscall(SYS_close, fd);
    return failed;
}
int truncate64(const char *, off64_t) __attribute__((alias("truncate")));

/* ---- syncs ---- */

static void stall(void) {
    if (!page->stall_ns)
        return;
    add(&page->stalled, 0);
    uint64_t start = now_ns();
    /* In slices: a disk that works again holds up nobody. */
    while (now_ns() - start < page->stall_ns) {
        struct timespec slice = {0, SLICE_NS};
        syscall(SYS_nanosleep, &slice, 0);
    }
}

/* Set a file's log aside; `aside` is empty if it has none. */
static void set_aside(const struct stat *st, char *aside) {
    char log[FOLDER_BYTES + 64];
    snprintf(log, sizeof log, "%s/undo/%llu", logs, (unsigned long long)st->st_ino);
    snprintf(aside, PATH_BYTES, "%s.%llu", log, (unsigned long long)now_ns());
    if (syscall(SYS_renameat2, AT_FDCWD, log, AT_FDCWD, aside, 0))
        *aside = 0;
}

static void synced(const struct stat *st, const char *aside, uint64_t since_ns, uint64_t names) {
    /* Up to which name a file's syncs are noted: without a new one since, another note would only fill the log. */
    static uint64_t noted[64];
    /* Both in one word, for threads: another file's names must not pass for this one's. */
    uint64_t *place = &noted[st->st_ino % 64], both = st->st_ino * 0x9E3779B97F4A7C15ULL ^ names;
    if (*aside)
        syscall(SYS_unlinkat, AT_FDCWD, aside, 0);
    if (names && __atomic_load_n(place, __ATOMIC_RELAXED) != both) {
        struct record record = {.kind = SYNC, .file = st->st_ino, .kept = since_ns};
        append("names", &record, 0, 0);
        __atomic_store_n(place, both, __ATOMIC_RELAXED);
    }
    if (S_ISDIR(st->st_mode))
        forget_kept(st->st_ino);
}

static int sync_one(long number, int fd) {
    struct stat st;
    char path[PATH_BYTES], aside[PATH_BYTES];
    if (!page || about(fd, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) || !located(fd, path))
        return syscall(number, fd);
    stall();
    if (page->failing)
        return refuse(EIO);
    uint64_t names = __atomic_load_n(&page->names, __ATOMIC_ACQUIRE), since_ns = now_ns();
    set_aside(&st, aside);
    int failed = syscall(number, fd);
    if (!failed)
        synced(&st, aside, since_ns, names);
    return failed;
}

int fsync(int fd) { return sync_one(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_one(SYS_fdatasync, fd); }

/* A write by a descriptor that syncs each. */
static long done_syncing(const struct stat *st, long result, int flags) {
    if (result >= 0 && flags & (O_SYNC | O_DSYNC)) {
        char aside[PATH_BYTES];
        uint64_t names = __atomic_load_n(&page->names, __ATOMIC_ACQUIRE);
        set_aside(st, aside);
        synced(st, aside, now_ns(), names);
    }
    return result;
}

static void all_synced(uint64_t since_ns) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/undo", logs);
    DIR *found = opendir(path);
    struct dirent *entry;
    while (found && (entry = readdir(found))) {
        snprintf(path, sizeof path, "%s/undo/%s", logs, entry->d_name);
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    if (found)
        closedir(found);
    log_name(SYNC, 0, 0, since_ns, 0, 0);
    forget_kept(0);
}

int syncfs(int fd) {
    uint64_t since_ns = now_ns();
    int failed = syscall(SYS_syncfs, fd);
    if (!failed && page)
        all_synced(since_ns);
    return failed;
}

void sync(void) {
    uint64_t since_ns = now_ns();
    syscall(SYS_sync);
    if (page)
        all_synced(since_ns);
}

/* ---- names ---- */

static int opened(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_BYTES];
    uint64_t folder;
    struct stat st;
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !placed(at, name, path, &folder))
        return syscall(SYS_openat, at, name, flags, mode);
    int missing = about_name(at, name, &st, 0) != 0;
    if (!missing && flags & O_TRUNC && S_ISREG(st.st_mode) && st.st_size) {
        int old = syscall(SYS_openat, at, name, O_RDONLY | O_CLOEXEC, 0);
        int failed = old >= 0 && before_truncate(old, &st, 0);
        if (old >= 0)
            syscall(SYS_close, old);
        if (failed)
            return -1;
    }
    if (missing && flags & O_CREAT && unwritable())
        return -1;
    int fd = syscall(SYS_openat, at, name, flags, mode);
    if (fd >= 0 && missing && !about(fd, &st))
        log_name(CREATE, st.st_ino, folder, 0, path, 0);
    return fd;
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *name, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *, int, ...) __attribute__((alias("open")));
int openat(int at, const char *name, int flags, ...) {
    MODE(flags)
    return opened(at, name, flags, mode);
}
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int __open_2(const char *name, int flags) { return opened(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *, int) __attribute__((alias("__open_2")));
int __openat_2(int at, const char *name, int flags) { return opened(at, name, flags, 0); }
int __openat64_2(int, const char *, int) __attribute__((alias("__openat_2")));
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *, mode_t) __attribute__((alias("creat")));

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_BYTES];
    uint64_t folder, kept = 0;
    struct stat st;
    if (!placed(at, name, path, &folder) || about_name(at, name, &st, AT_SYMLINK_NOFOLLOW))
        return syscall(SYS_unlinkat, at, name, flags);
    if (!(flags & AT_REMOVEDIR))
        kept = keep(path, folder);
    int failed = syscall(SYS_unlinkat, at, name, flags);
    if (!failed)
        log_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, st.st_ino, folder, kept, path, 0);
    else if (kept)
        unkeep(folder, kept);
    return failed;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    struct stat st;
    int folder = !about_name(AT_FDCWD, name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
    return unlinkat(AT_FDCWD, name, folder ? AT_REMOVEDIR : 0);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    char path[PATH_BYTES], target[PATH_BYTES];
    uint64_t folder, second, kept = 0;
    struct stat st, there;
    if (!placed(from, old, path, &folder) || !placed(to, new, target, &second) || flags & RENAME_EXCHANGE ||
        about_name(from, old, &st, AT_SYMLINK_NOFOLLOW))
        return syscall(SYS_renameat2, from, old, to, new, flags);
    if (!about_name(to, new, &there, AT_SYMLINK_NOFOLLOW) && !S_ISDIR(there.st_mode))
        kept = keep(target, second);
    int failed = syscall(SYS_renameat2, from, old, to, new, flags);
    if (!failed)
        log_name(RENAME, st.st_ino, second, kept, path, target);
    else if (kept)
        unkeep(second, kept);
    return failed;
}
int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char path[PATH_BYTES];
    uint64_t folder;
    struct stat st;
    int failed = syscall(SYS_linkat, from, old, to, new, flags);
    if (!failed && placed(to, new, path, &folder) && !about_name(to, new, &st, AT_SYMLINK_NOFOLLOW))
        log_name(CREATE, st.st_ino, folder, 0, path, 0);
    return failed;
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int mkdirat(int at, const char *name, mode_t mode) {
    char path[PATH_BYTES];
    uint64_t folder;
    struct stat st;
    int failed = syscall(SYS_mkdirat, at, name, mode);
    if (!failed && placed(at, name, path, &folder) && !about_name(at, name, &st, 0))
        log_name(MKDIR, st.st_ino, folder, 0, path, 0);
    return failed;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ---- stdio writes inside libc, where nothing is seen ---- */

static void watch_stdio(int at, const char *name, int fd, const char *mode) {
    char path[PATH_BYTES];
    uint64_t folder;
    if (page && strpbrk(mode, "wa+") && (name ? placed(at, name, path, &folder) : located(fd, path)))
        add(&page->blind, STDIO);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

FILE *fopen(const char *name, const char *mode) {
    watch_stdio(AT_FDCWD, name, -1, mode);
    return NEXT(fopen)(name, mode);
}
FILE *fopen64(const char *name, const char *mode) {
    watch_stdio(AT_FDCWD, name, -1, mode);
    return NEXT(fopen64)(name, mode);
}
FILE *freopen(const char *name, const char *mode, FILE *file) {
    if (name)
        watch_stdio(AT_FDCWD, name, -1, mode);
    return NEXT(freopen)(name, mode, file);
}
FILE *fdopen(int fd, const char *mode) {
    watch_stdio(AT_FDCWD, 0, fd, mode);
    return NEXT(fdopen)(fd, mode);
}
