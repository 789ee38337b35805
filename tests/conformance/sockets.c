/* Sockets of all the usual families, within the machine. */
#include "conform.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static void options(int fd)
{
	struct linger linger = { 1, 5 };
	struct timeval wait = { 3, 4 };
	struct sock_filter code[] = { { 0x20, 0, 0, 4 }, { 6, 0, 0, 0xffff } };
	struct sock_fprog program = { 2, code };
	struct ip_mreq group = { { htonl(0xe0000001) }, { htonl(INADDR_LOOPBACK) } };
	int one = 1;
	socklen_t size = sizeof(one);

	CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	CALL(SYS_setsockopt, fd, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one));
	CALL(SYS_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	CALL(SYS_setsockopt, fd, IPPROTO_IP, IP_TTL, &one, sizeof(one));
	CALL(SYS_setsockopt, fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group));
	CALL(SYS_setsockopt, fd, SOL_SOCKET, 999, &one, sizeof(one));
	CALL(SYS_setsockopt, NOFD, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &one, &size);
	CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, &one, &size);
	CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_SNDBUF, &one, &size);
	size = sizeof(linger);
	CALL(SYS_getsockopt, fd, SOL_SOCKET, SO_LINGER, &linger, &size);
	size = 16;
	CALL(SYS_getsockopt, fd, IPPROTO_TCP, TCP_CONGESTION, buffer, &size);
	CALL(SYS_getsockopt, fd, 77, 5, &one, &size);
	CALL(SYS_getsockopt, NOFD, SOL_SOCKET, SO_TYPE, &one, &size);
}

static void interfaces(int fd)
{
	struct ifreq request = { 0 };
	struct ifconf all = { 1000, { buffer } };

	strcpy(request.ifr_name, "lo");
	CALL(SYS_ioctl, fd, SIOCGIFADDR, &request);
	CALL(SYS_ioctl, fd, SIOCGIFFLAGS, &request);
	CALL(SYS_ioctl, fd, SIOCGIFINDEX, &request);
	CALL(SYS_ioctl, fd, SIOCGIFMTU, &request);
	strcpy(request.ifr_name, "none7");
	CALL(SYS_ioctl, fd, SIOCGIFINDEX, &request);
	CALL(SYS_ioctl, fd, SIOCGIFCONF, &all);
}

static void inet(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } }, from;
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct iovec iov[2] = { { "in two ", 7 }, { "pieces", 6 } }, into = { buffer, 1000 };
	struct msghdr out = { .msg_iov = iov, .msg_iovlen = 2 }, in = { .msg_iov = &into, .msg_iovlen = 1 };
	struct mmsghdr many[2] = { { out, 0 }, { out, 0 } }, received[2] = { { in, 0 }, { in, 0 } };
	socklen_t size = sizeof(address);
	int server, client, peer, udp;

	server = CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	options(server);
	interfaces(server);
	CALL(SYS_bind, server, &address, sizeof(address));
	CALL(SYS_bind, NOFD, &address, sizeof(address));
	CALL(SYS_listen, server, 5);
	CALL(SYS_getsockname, server, &address, &size);
	client = CALL(SYS_socket, AF_INET, SOCK_STREAM, 0);
	CALL(SYS_getpeername, client, &from, &size);
	CALL(SYS_connect, client, &address, sizeof(address));
	size = sizeof(from);
	peer = CALL(SYS_accept4, server, &from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CALL(SYS_getpeername, client, &from, &size);
	CALL(SYS_sendto, client, "over tcp", 8, MSG_NOSIGNAL, NULL, 0);
	CALL(SYS_recvfrom, peer, buffer, 100, MSG_PEEK, NULL, NULL);
	CALL(SYS_recvfrom, peer, buffer, 100, 0, &from, &size);
	CALL(SYS_recvfrom, peer, buffer, 100, MSG_DONTWAIT, NULL, NULL);
	CALL(SYS_sendmsg, client, &out, 0);
	CALL(SYS_recvmsg, peer, &in, 0);
	CALL(SYS_shutdown, client, SHUT_WR);
	CALL(SYS_shutdown, NOFD, SHUT_RDWR);
	CALL(SYS_recvfrom, peer, buffer, 100, 0, NULL, NULL);
	CALL(SYS_accept, NOFD, &from, &size);
	udp = CALL(SYS_socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	address.sin_port = 0;
	size = sizeof(address);
	CALL(SYS_bind, udp, &address, sizeof(address));
	CALL(SYS_getsockname, udp, &address, &size);
	CALL(SYS_sendto, udp, "datagram", 8, 0, &address, sizeof(address));
	size = sizeof(from);
	CALL(SYS_recvfrom, udp, buffer, 100, 0, &from, &size);
	CALL(SYS_connect, udp, &address, sizeof(address));
	CALL(SYS_sendmmsg, udp, many, 2, 0);
	CALL(SYS_recvmmsg, udp, received, 2, MSG_DONTWAIT, NULL);
	CALL(SYS_recvmmsg, udp, received, 2, MSG_DONTWAIT, NULL);
	CALL(SYS_sendmmsg, NOFD, many, 2, 0);
	client = CALL(SYS_socket, AF_INET6, SOCK_DGRAM, 0);
	CALL(SYS_connect, client, &six, sizeof(six));
	CALL(SYS_setsockopt, client, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, 4);
	CALL(SYS_connect, client, BAD, sizeof(six));
	CALL(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP);
	CALL(SYS_socket, 99, 99, 99);
}

void sockets(void)
{
	struct sockaddr_un name = { AF_UNIX, "/tmp/conform.socket" }, hidden = { AF_UNIX, "\0conform" };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 5 };
	struct sockaddr_ll link = { .sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = 1, .sll_halen = 6 };
	char control[64] = { 0 };
	struct iovec one = { "with a descriptor", 17 }, into = { buffer, 1000 };
	struct msghdr message = { .msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	struct ucred who;
	socklen_t size;
	int pair[2], server, client;

	inet();
	CALL(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
	CALL(SYS_socketpair, AF_INET, SOCK_STREAM, 0, pair);
	head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(4);
	*(int *)CMSG_DATA(head) = 1;
	CALL(SYS_sendmsg, pair[0], &message, MSG_NOSIGNAL);
	message.msg_iov = &into;
	message.msg_controllen = sizeof(control);
	CALL(SYS_recvmsg, pair[1], &message, MSG_CMSG_CLOEXEC);
	CALL(SYS_recvmsg, NOFD, &message, 0);
	size = sizeof(who);
	CALL(SYS_getsockopt, pair[0], SOL_SOCKET, SO_PEERCRED, &who, &size);
	server = CALL(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CALL(SYS_bind, server, &name, offsetof(struct sockaddr_un, sun_path) + 20);
	CALL(SYS_listen, server, 1);
	client = CALL(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
	CALL(SYS_connect, client, &hidden, offsetof(struct sockaddr_un, sun_path) + 8);
	CALL(SYS_connect, client, &name, sizeof(name));
	size = sizeof(name);
	CALL(SYS_accept, server, &name, &size);
	CALL(SYS_accept, server, NULL, NULL);
	client = CALL(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
	CALL(SYS_bind, client, &kernel, sizeof(kernel));
	client = CALL(SYS_socket, AF_PACKET, SOCK_DGRAM, htons(0x0800));
	CALL(SYS_bind, client, &link, sizeof(link));
	CALL(SYS_unlink, "/tmp/conform.socket");
}
