/* Descriptors: copies, pipes, locks, terminals and what else can be held by one. */
#include "conform.h"
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <linux/kcmp.h>
#include <termios.h>

static void locks(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20 };
	struct { int type, pid; } owner = { 1, 0 };

	CALL(SYS_fcntl, fd, F_SETLK, &lock);
	CALL(SYS_fcntl, fd, F_GETLK, &lock);
	lock.l_type = 77;
	CALL(SYS_fcntl, fd, F_SETLKW, &lock);
	lock.l_type = F_RDLCK, lock.l_pid = 0;
	CALL(SYS_fcntl, fd, F_OFD_SETLK, &lock);
	CALL(SYS_fcntl, fd, F_OFD_GETLK, &lock);
	CALL(SYS_fcntl, fd, F_GETFD);
	CALL(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	CALL(SYS_fcntl, fd, F_GETFL);
	CALL(SYS_fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK);
	CALL(SYS_fcntl, fd, F_DUPFD, 50);
	CALL(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 51);
	CALL(SYS_fcntl, fd, F_SETOWN, 1);
	CALL(SYS_fcntl, fd, F_GETOWN);
	CALL(SYS_fcntl, fd, F_SETOWN_EX, &owner);
	CALL(SYS_fcntl, fd, F_GETOWN_EX, &owner);
	CALL(SYS_fcntl, fd, F_SETSIG, SIGUSR1);
	CALL(SYS_fcntl, fd, F_GETSIG);
	CALL(SYS_fcntl, fd, F_SETLEASE, F_UNLCK);
	CALL(SYS_fcntl, fd, F_GETLEASE);
	CALL(SYS_fcntl, fd, F_NOTIFY, 0);
	CALL(SYS_fcntl, fd, 9999, 5);
	CALL(SYS_fcntl, NOFD, F_GETFD);
}

void descriptors(void)
{
	int fd = CALL(SYS_open, "/tmp/conform.fd", O_RDWR | O_CREAT, 0600), pair[2], other[2], memory, pty, timer;
	struct itimerspec spec = { { 0, 0 }, { 100, 0 } };
	struct iovec iov[2] = { { "spliced", 7 }, { " in", 3 } };
	unsigned long long count = 5;
	sigset_t set;
	long offset = 0;
	int number = 0;

	locks(fd);
	CALL(SYS_dup, fd);
	CALL(SYS_dup, NOFD);
	CALL(SYS_dup2, fd, 60);
	CALL(SYS_dup2, NOFD, 60);
	CALL(SYS_dup3, fd, 61, O_CLOEXEC);
	CALL(SYS_dup3, fd, fd, 0);
	CALL(SYS_pipe, pair);
	CALL(SYS_pipe, BAD);
	CALL(SYS_pipe2, other, O_NONBLOCK | O_CLOEXEC);
	CALL(SYS_pipe2, other, 0x7777);
	CALL(SYS_fcntl, pair[0], F_GETPIPE_SZ);
	CALL(SYS_fcntl, pair[0], F_SETPIPE_SZ, 8192);
	CALL(SYS_write, pair[1], "through a pipe", 14);
	CALL(SYS_tee, pair[0], other[1], 100, 2);
	CALL(SYS_tee, NOFD, other[1], 100, 0);
	CALL(SYS_splice, pair[0], NULL, fd, &offset, 14, 1);
	CALL(SYS_splice, NOFD, NULL, fd, NULL, 14, 0);
	CALL(SYS_vmsplice, pair[1], iov, 2, 0);
	CALL(SYS_vmsplice, NOFD, iov, 2, 8);
	CALL(SYS_read, other[0], buffer, 100);
	CALL(SYS_read, other[0], buffer, 100);
	memory = CALL(SYS_memfd_create, "conform", 1 | 2);
	CALL(SYS_memfd_create, "bad", 0x8000);
	CALL(SYS_fcntl, memory, F_ADD_SEALS, 2 | 4);
	CALL(SYS_fcntl, memory, F_GET_SEALS);
	CALL(SYS_memfd_secret, O_CLOEXEC);
	CALL(SYS_eventfd, 3);
	number = CALL(SYS_eventfd2, 1, EFD_NONBLOCK | EFD_SEMAPHORE);
	CALL(SYS_eventfd2, 1, 0x999);
	CALL(SYS_write, number, &count, 8);
	CALL(SYS_read, number, &count, 8);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CALL(SYS_signalfd, -1, &set, 8);
	CALL(SYS_signalfd4, -1, &set, 8, SFD_NONBLOCK | SFD_CLOEXEC);
	CALL(SYS_signalfd4, -1, &set, 5, 0);
	timer = CALL(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK);
	CALL(SYS_timerfd_create, 77, 0);
	CALL(SYS_timerfd_settime, timer, 0, &spec, NULL);
	CALL(SYS_timerfd_gettime, timer, &spec);
	CALL(SYS_timerfd_settime, NOFD, 1, &spec, &spec);
	pty = CALL(SYS_open, "/dev/ptmx", O_RDWR | O_NOCTTY);
	CALL(SYS_ioctl, pty, TIOCGPTN, &number);
	number = 0;
	CALL(SYS_ioctl, pty, TIOCSPTLCK, &number);
	CALL(SYS_ioctl, pty, TCGETS, buffer);
	CALL(SYS_ioctl, pty, TCSETS, buffer);
	CALL(SYS_ioctl, pty, TIOCGWINSZ, buffer);
	CALL(SYS_ioctl, pty, TIOCSWINSZ, buffer);
	CALL(SYS_ioctl, pty, TCFLSH, 0);
	CALL(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, 60);
	CALL(SYS_kcmp, getpid(), getpid(), 99, fd, fd);
	CALL(SYS_close_range, 60, 61, 0);
	CALL(SYS_close_range, 10, 5, 4);
	CALL(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
	CALL(SYS_userfaultfd, 0x777);
	CALL(SYS_unlink, "/tmp/conform.fd");
}
