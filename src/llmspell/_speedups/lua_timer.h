/* One-shot timers that interrupt one thread: Linux has them. Elsewhere there are none, and a hook counts instructions.

   The signal's handler runs on the thread that set the timer, wherever that is in its work. */

#ifndef LLMSPELL_LUA_TIMER_H
#define LLMSPELL_LUA_TIMER_H

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <stdatomic.h>

static inline void llmspell_fence(void) { atomic_signal_fence(memory_order_seq_cst); }

#if defined(__linux__) && !defined(LLMSPELL_NO_TIMERS)

#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define LLMSPELL_TIMERS 1
typedef timer_t llmspell_timer;
typedef void (*llmspell_tick)(void *);

static llmspell_tick llmspell_on_tick;

static void llmspell_signal(int number, siginfo_t *info, void *context) {
    int kept = errno; /* of what the signal came into */
    (void)number;
    (void)context;
    if (info->si_code == SI_TIMER) /* no other sender knows what the value points to */
        llmspell_on_tick(info->si_value.sival_ptr);
    errno = kept;
}

/* A timer of this thread's; 0 if it is there. */
static int llmspell_timer_start(llmspell_timer *timer, void *value, llmspell_tick on_tick) {
    struct sigaction action;
    struct sigevent event;
    sigset_t ours;
    llmspell_on_tick = on_tick;
    memset(&action, 0, sizeof action);
    memset(&event, 0, sizeof event);
    action.sa_sigaction = llmspell_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK;
    if (sigaction(SIGRTMIN + 4, &action, NULL))
        return -1;
    sigemptyset(&ours); /* a thread that has all signals blocked could not be stopped */
    sigaddset(&ours, SIGRTMIN + 4);
    if (pthread_sigmask(SIG_UNBLOCK, &ours, NULL))
        return -1;
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN + 4;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    event.sigev_value.sival_ptr = value;
    return timer_create(CLOCK_MONOTONIC, &event, timer);
}

static void llmspell_timer_shoot(llmspell_timer timer, long microseconds) {
    struct itimerspec shot;
    memset(&shot, 0, sizeof shot);
    shot.it_value.tv_sec = microseconds / 1000000;
    shot.it_value.tv_nsec = microseconds % 1000000 * 1000;
    timer_settime(timer, 0, &shot, NULL);
}

static void llmspell_timer_end(llmspell_timer timer) { timer_delete(timer); }

#else

#define LLMSPELL_TIMERS 0
typedef int llmspell_timer;
typedef void (*llmspell_tick)(void *);

static int llmspell_timer_start(llmspell_timer *timer, void *value, llmspell_tick on_tick) {
    (void)timer, (void)value, (void)on_tick;
    return -1;
}

static void llmspell_timer_shoot(llmspell_timer timer, long microseconds) { (void)timer, (void)microseconds; }

static void llmspell_timer_end(llmspell_timer timer) { (void)timer; }

#endif
#endif
