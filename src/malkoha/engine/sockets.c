/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The address that a socket of IPv4 or IPv6 itself has once a call has given it one: with its port a flow in a capture
 * belongs to one call alone, whoever else speaks to the same server.
 */
#include <linux/file.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/net.h>
#include <net/inet_sock.h>

#define LOCAL_ARGUMENT 6

static void blob_local(u8 arg, unsigned int fd)
{
	struct file *file = fget(fd);
	struct socket *socket;
	struct sock *sk;

	if (!file)
		return;
	socket = sock_from_file(file);
	sk = socket ? socket->sk : NULL;
	if (sk && sk->sk_family == AF_INET && inet_sk(sk)->inet_sport) {
		struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = inet_sk(sk)->inet_sport };

		local.sin_addr.s_addr = inet_sk(sk)->inet_saddr;
		blob_copy(arg, 0, &local, sizeof(local));
	} else if (sk && sk->sk_family == AF_INET6 && inet_sk(sk)->inet_sport) {
		struct sockaddr_in6 local = { .sin6_family = AF_INET6, .sin6_port = inet_sk(sk)->inet_sport };

		local.sin6_addr = inet6_sk(sk) ? inet6_sk(sk)->saddr : sk->sk_v6_rcv_saddr;
		blob_copy(arg, 0, &local, sizeof(local));
	}
	fput(file);
}
