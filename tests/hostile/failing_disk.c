/* A disk whose n-th call fails, preloaded into a program: what SQLite's own tests call I/O error simulation.
 *
 * 1. Counted are writes, truncations and syncs of files below a folder, from `failing_disk_arm` on.
 * 2. The n-th of them does nothing and fails with the error given; so do all later ones if the fault is to stay.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char under[PATH_MAX];
static long calls, failing_at;
static int problem, stays;

void failing_disk_arm(const char *folder, long at, int error, int for_good) {
    snprintf(under, sizeof under, "%s", folder);
    calls = 0;
    failing_at = at;
    problem = error;
    stays = for_good;
}

long failing_disk_calls(void) { return calls; }

static int fails(int fd) {
    char name[64], path[PATH_MAX];
    int before = errno;
    if (!under[0]) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, under, strlen(under))) return 0;
    calls++;
    if (!failing_at || !(calls == failing_at || (stays && calls > failing_at))) return 0;
    errno = problem;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t size) { return fails(fd) ? -1 : REAL(write)(fd, bytes, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return fails(fd) ? -1 : REAL(writev)(fd, parts, count); }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return fails(fd) ? -1 : REAL(pwrite)(fd, bytes, size, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) { return fails(fd) ? -1 : REAL(pwrite64)(fd, bytes, size, at); }
int ftruncate(int fd, off_t size) { return fails(fd) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd) ? -1 : REAL(ftruncate64)(fd, size); }
int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync)(fd); }
