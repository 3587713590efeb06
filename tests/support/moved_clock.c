/* Preloaded into a process: its wall clock is ahead of the true one by the seconds (8 bytes, of this machine's order)
   in the file that MOVED_CLOCK names. All other clocks, and all sleeping, are left as they are.

   No header is included, so that a compiler alone will do. */

struct timespec { long tv_sec; long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };

extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern int open(const char *, int, ...);
extern int close(int);
extern void *mmap(void *, unsigned long, int, int, int, long);

static volatile long none, *ahead = &none;
static int (*true_clock)(int, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("MOVED_CLOCK");
    int file = path ? open(path, 0 /* O_RDONLY */) : -1;
    true_clock = (int (*)(int, struct timespec *))dlsym((void *)-1L /* RTLD_NEXT */, "clock_gettime");
    if (file >= 0) {
        void *mapped = mmap(0, sizeof(long), 1 /* PROT_READ */, 1 /* MAP_SHARED */, file, 0);
        if (mapped != (void *)-1L) ahead = mapped;
        close(file);
    }
}

int clock_gettime(int clock, struct timespec *now) {
    int failed;
    if (!true_clock) begin();
    failed = true_clock(clock, now);
    if (!failed && (clock == 0 /* CLOCK_REALTIME */ || clock == 5 /* CLOCK_REALTIME_COARSE */)) now->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(0, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

long time(long *also) {
    struct timespec exact;
    clock_gettime(0, &exact);
    if (also) *also = exact.tv_sec;
    return exact.tv_sec;
}
