/* Waiting for descriptors. */
#include "conform.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

void polling(void)
{
	struct pollfd fds[3];
	struct epoll_event event = { EPOLLIN | EPOLLET, { .u64 = 0x1122334455 } }, events[4];
	struct timespec none = { 0, 0 };
	struct timeval tv = { 0, 0 };
	unsigned long mask = 1UL << (SIGUSR1 - 1);
	struct { void *at; size_t size; } masked = { &mask, 8 };
	fd_set in, out;
	int pair[2], ep;

	CALL(SYS_pipe2, pair, 0);
	fds[0] = (struct pollfd){ pair[0], POLLIN | POLLPRI, 0 };
	fds[1] = (struct pollfd){ pair[1], POLLOUT, 0 };
	fds[2] = (struct pollfd){ NOFD, POLLIN, 0 };
	CALL(SYS_poll, fds, 3, 0);
	CALL(SYS_poll, fds, 1, 0);
	CALL(SYS_poll, BAD, 1, 0);
	CALL(SYS_ppoll, fds, 2, &none, &mask, 8);
	CALL(SYS_ppoll, fds, 1, &none, NULL, 0);
	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(pair[0], &in);
	FD_SET(pair[1], &out);
	CALL(SYS_select, pair[1] + 1, &in, &out, NULL, &tv);
	FD_ZERO(&in);
	FD_SET(pair[0], &in);
	CALL(SYS_select, pair[0] + 1, &in, NULL, NULL, &tv);
	CALL(SYS_select, -1, NULL, NULL, NULL, &tv);
	FD_SET(pair[0], &in);
	CALL(SYS_pselect6, pair[1] + 1, &in, &out, NULL, &none, &masked);
	CALL(SYS_pselect6, 1, BAD, NULL, NULL, &none, NULL);
	CALL(SYS_epoll_create, 5);
	CALL(SYS_epoll_create, 0);
	ep = CALL(SYS_epoll_create1, EPOLL_CLOEXEC);
	CALL(SYS_epoll_create1, 0x999);
	CALL(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, pair[0], &event);
	event.events = EPOLLOUT | EPOLLONESHOT;
	CALL(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, pair[1], &event);
	CALL(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, pair[1], &event);
	CALL(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, NOFD, NULL);
	CALL(SYS_epoll_wait, ep, events, 4, 0);
	CALL(SYS_epoll_wait, ep, events, 4, 0);
	CALL(SYS_epoll_wait, NOFD, events, 4, 0);
	CALL(SYS_write, pair[1], "x", 1);
	CALL(SYS_epoll_pwait, ep, events, 4, 0, &mask, 8);
	CALL(SYS_epoll_pwait2, ep, events, 4, &none, NULL, 0);
	CALL(SYS_epoll_pwait2, ep, events, 0, &none, &mask, 8);
	CALL(SYS_epoll_ctl_old);
	CALL(SYS_epoll_wait_old);
}
