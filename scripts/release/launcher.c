/* The first program of the single-file executable: starts the Python that lies in the same file.
 *
 * Nothing is unpacked to a disk. A shared library is copied from the executable into a file that exists in
 * memory only (memfd_create) and loaded from there, so the program runs where no directory is writable, leaves
 * nothing behind when it is killed, and is one process.
 *
 * `startup.h` is generated: the libraries to load, in order, and where they lie in this file. The last is boot.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <unistd.h>

#include "startup.h" /* struct part { const char *name; long long offset, size; }; PARTS, PART_COUNT */

typedef int (*run_function)(int argc, char **argv, const char *executable);

static void fail(const char *doing, const char *what, const char *why)
{
    fprintf(stderr, "error: cannot %s %s: %s\n", doing, what, why);
    exit(1);
}

static int copy_to_memory(int executable, const struct part *part)
{
    int memory = memfd_create(part->name, MFD_CLOEXEC);
    off_t offset = (off_t)part->offset;
    long long left = part->size;

    if (memory < 0)
        fail("make a file in memory for", part->name, strerror(errno));
    while (left > 0) {
        ssize_t sent = sendfile(memory, executable, &offset, (size_t)left);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            fail("read", part->name, sent ? strerror(errno) : "this executable is cut off");
        left -= sent;
    }
    return memory;
}

/* The loader knows a library by its path and would take a descriptor that is used again for the earlier
 * library. Each `./` more makes a new path to the same place. */
static void memory_path(char *path, size_t size, int number, int memory)
{
    size_t used = (size_t)snprintf(path, size, "/proc/self/fd/");
    while (number-- > 0 && used + 16 < size)
        used += (size_t)snprintf(path + used, size - used, "./");
    snprintf(path + used, size - used, "%d", memory);
}

int main(int argc, char **argv)
{
    static char executable[4096], path[256];
    void *library = NULL;
    run_function run;
    ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (length < 0 || self < 0)
        fail("open", "/proc/self/exe", strerror(errno));
    executable[length] = '\0';
    for (int number = 0; number < PART_COUNT; number++) {
        int memory = copy_to_memory(self, &PARTS[number]);
        memory_path(path, sizeof path, number, memory);
        library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        if (library == NULL)
            fail("load", PARTS[number].name, dlerror());
        close(memory);
    }
    close(self);
    run = (run_function)dlsym(library, "run");
    if (run == NULL)
        fail("start", "Python", dlerror());
    return run(argc, argv, executable);
}
