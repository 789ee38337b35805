/* The calls of i386, through int 0x80. All memory lies below 4 GiB: the program is linked there. */
#include "conform.h"

static struct {
	char text[64], path[64], words[4096];
	unsigned args[6];
	int pair[2], count;
	struct { unsigned base, size; } iov[2];
	struct { int sec, nsec; } time;
	struct { long long sec, nsec; } time64;
	struct { short type, whence; int start, len, pid; } lock;
	struct { unsigned short family, port; unsigned address; char zero[8]; } inet;
	unsigned sets[2];
	struct { int type; char text[28]; } message;
	struct { unsigned short number; short op, flags; } sem;
} low;

static long call_socket(int operation, unsigned a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned f)
{
	unsigned args[6] = { a, b, c, d, e, f };

	memcpy(low.args, args, sizeof(args));
	return CALL32(102, operation, low.args);
}

static void multiplexed(void)
{
	int fd, id, queue;

	low.inet.family = 2;
	low.inet.address = 0x0100007f;
	fd = call_socket(1, 2, 2, 17, 0, 0, 0);
	call_socket(2, fd, (long)&low.inet, 16, 0, 0, 0);
	call_socket(2, NOFD, (long)&low.inet, 16, 0, 0, 0);
	low.count = 16;
	call_socket(6, fd, (long)&low.inet, (long)&low.count, 0, 0, 0);
	call_socket(3, fd, (long)&low.inet, 16, 0, 0, 0);
	call_socket(9, fd, (long)low.text, 5, 0, 0, 0);
	call_socket(10, fd, (long)low.words, 100, 0x40, 0, 0);
	call_socket(14, fd, 1, 2, (long)&low.iov, 4, 0);
	call_socket(8, 1, 1, 0, (long)low.pair, 0, 0);
	call_socket(13, fd, 1, 0, 0, 0, 0);
	call_socket(99, 1, 2, 3, 0, 0, 0);
	id = CALL32(117, 23, 0, 4096, 01600);
	CALL32(117, 21, id, 0, &low.count, 0);
	CALL32(117, 24, id, 0x100, 0, 0);
	id = CALL32(117, 2, 0, 1, 01600);
	low.sem.op = 1;
	CALL32(117, 1, id, 1, 0, &low.sem);
	CALL32(117, 3, id, 0, 0x100, &low.count);
	queue = CALL32(117, 13, 0, 01600);
	low.message.type = 3;
	memcpy(low.message.text, "narrow", 6);
	CALL32(117, 11, queue, 6, 0, &low.message);
	CALL32(117, 1 << 16 | 12, queue, 28, 0, &low.message, 0);
	CALL32(117, 14, queue, 0x100, 0, 0);
	CALL32(117, 99, 1, 2, 3, 4);
}

void narrow(void)
{
	int fd;

	strcpy(low.text, "hello\n");
	strcpy(low.path, "/tmp/conform.narrow");
	low.iov[0].base = (long)low.text, low.iov[0].size = 6;
	low.iov[1].base = (long)low.path, low.iov[1].size = 4;
	fd = CALL32(5, low.path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CALL32(5, "/nothing", O_RDONLY);
	CALL32(4, fd, low.text, 6);
	CALL32(146, fd, low.iov, 2);
	CALL32(140, fd, 0, 0, low.words, 0);
	CALL32(3, fd, low.words, 6);
	CALL32(19, fd, 2, 0);
	CALL32(180, fd, low.words, 4, 1, 0);
	CALL32(181, fd, low.text, 4, 1, 0);
	CALL32(106, low.path, low.words);
	CALL32(108, fd, low.words);
	CALL32(195, low.path, low.words);
	CALL32(197, fd, low.words);
	CALL32(300, -100, low.path, low.words, 0);
	CALL32(99, "/tmp", low.words);
	CALL32(268, "/tmp", 84, low.words);
	CALL32(93, fd, 100);
	CALL32(194, fd, 200, 0);
	CALL32(33, low.path, 4);
	low.lock.type = 1, low.lock.len = 5;
	CALL32(55, fd, 6, &low.lock);
	CALL32(221, fd, 3);
	CALL32(221, fd, 13, low.words);
	CALL32(54, fd, 0x5401, low.words);
	CALL32(141, fd, low.words, 100);
	CALL32(20);
	CALL32(24);
	CALL32(199);
	CALL32(49);
	CALL32(224);
	CALL32(64);
	CALL32(78, low.words, low.words + 100);
	CALL32(13, low.words);
	CALL32(265, 1, &low.time);
	CALL32(403, 1, &low.time64);
	CALL32(406, 0, &low.time64);
	low.time.sec = 0, low.time.nsec = 1000;
	CALL32(162, &low.time, 0);
	low.time64.sec = 0, low.time64.nsec = 1000;
	CALL32(407, 1, 0, &low.time64, 0);
	CALL32(43, low.words);
	CALL32(77, 0, low.words);
	CALL32(76, 7, low.words);
	CALL32(191, 7, low.words);
	CALL32(340, 0, 7, 0, low.words);
	CALL32(116, low.words);
	CALL32(122, low.words);
	CALL32(42, low.pair);
	CALL32(331, low.pair, O_CLOEXEC);
	low.sets[0] = 1 << 9;
	CALL32(126, 0, low.sets, low.sets + 1);
	CALL32(175, 1, low.sets, 0, 8);
	CALL32(73, low.sets + 1);
	CALL32(67, 10, 0, low.words);
	CALL32(174, 10, 0, low.words, 8);
	CALL32(192, 0, 4096, 3, 0x22, -1, 0);
	low.args[0] = 0, low.args[1] = 4096, low.args[2] = 1, low.args[3] = 0x22, low.args[4] = -1, low.args[5] = 0;
	CALL32(90, low.args);
	CALL32(45, 0);
	CALL32(240, low.words, 1, 1, 0, 0, 0);
	CALL32(422, low.words, 0x81, 1, 0, 0, 0);
	CALL32(7, -1, low.words, 1);
	CALL32(205, 0, 0);
	CALL32(165, low.words, low.words + 4, low.words + 8);
	CALL32(209, low.words, low.words + 4, low.words + 8);
	CALL32(355, low.words, 4, 0);
	CALL32(168, low.words, 0, 0);
	CALL32(383, -100, "/etc/passwd", 0, 0x7ff, low.words);
	CALL32(39, "/tmp/conform.narrow.dir", 0700);
	CALL32(40, "/tmp/conform.narrow.dir");
	CALL32(85, "/proc/self/exe", low.words, 5);
	CALL32(183, low.words, 100);
	CALL32(17);
	CALL32(31);
	CALL32(34, 1);
	CALL32(48, 99, 0);
	CALL32(59, low.words);
	CALL32(109, low.words);
	CALL32(27, 0);
	CALL32(10, low.path);
	multiplexed();
	CALL32(6, fd);
	CALL32(999, 1, 2, 3, 4, 5);
}
