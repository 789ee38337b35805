/* Files that are written in every way and gone a moment later; each holds a text that says which it is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) < 0)
		perror(text);
}

static void file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0640);

	put(fd, text);
	close(fd);
}

static void copy_to(int to, const char *from)
{
	int fd = open(from, O_RDONLY);

	while (sendfile(to, fd, NULL, 1 << 20) > 0)
		;
	close(fd);
}

static void mapped(void)
{
	int fd = open("/root/mapped", O_CREAT | O_RDWR, 0600);
	char *memory;

	if (ftruncate(fd, 10000))
		perror("ftruncate");
	memory = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	memset(memory, 'm', 10000);
	munmap(memory, 10000);
	unlink("/root/mapped");
}

static void in_child(void (*work)(void))
{
	if (!fork()) {
		work();
		_exit(0);
	}
	wait(NULL);
}

static void nameless(void)
{
	int fd = open("/root", O_TMPFILE | O_RDWR, 0600);
	char path[64];

	put(fd, "was nameless");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	linkat(AT_FDCWD, path, AT_FDCWD, "/root/named", AT_SYMLINK_FOLLOW);
	close(fd);
	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	put(fd, "stays nameless");
	close(fd);
}

static void without_file(void)
{
	char *argv[] = { "kworker", "memory", NULL };
	int fd = memfd_create("payload", MFD_CLOEXEC);

	copy_to(fd, "/proc/self/exe");
	fexecve(fd, argv, environ);
}

static void large(void)
{
	static char block[1 << 20];
	int i, fd = open("/root/large", O_CREAT | O_WRONLY, 0600);

	for (i = 0; i < 50; i++) {
		memset(block, 'A' + i % 26, sizeof(block));
		if (write(fd, block, sizeof(block)) < 0)
			perror("large");
	}
	close(fd);
	unlink("/root/large");
}

static void changed_in_part(void)
{
	int fd = open("/usr/bin/perl", O_WRONLY | O_APPEND);

	put(fd, "appended");
	close(fd);
	/* what was not in memory is read while the sample goes on */
	usleep(700000);
}

static void replaced(const char *self)
{
	unlink(self);
	file(self, "the sample's new self");
	unlink(self);
}

static void everything(const char *self)
{
	int i, fd;

	changed_in_part();
	file("/root/deleted", "written and deleted");
	unlink("/root/deleted");
	file("/root/before", "renamed");
	rename("/root/before", "/root/after");
	file("/dev/shm/shared", "in shared memory");
	unlink("/dev/shm/shared");
	fd = open("/root/holes", O_CREAT | O_WRONLY, 0600);
	if (pwrite(fd, "end", 3, 9997) < 0)
		perror("holes");
	close(fd);
	for (i = 0; i < 30; i++) {
		fd = open("/root/log", O_CREAT | O_WRONLY | O_APPEND, 0600);
		put(fd, "line\n");
		close(fd);
	}
	fd = open("/root/twice", O_CREAT | O_WRONLY, 0600);
	put(fd, "one");
	in_child(nameless);
	if (!fork()) {
		put(fd, "two");
		_exit(0);
	}
	wait(NULL);
	close(fd);
	in_child(mapped);
	in_child(without_file);
	in_child(large);
	if (system("sh <<'END'\necho from the document >/root/heredoc; rm /root/heredoc\nEND\n"))
		perror("sh");
	if (system("bash -c 'bash <(echo : from the pipe)'"))
		perror("bash");
	replaced(self);
	fd = open("/root/last", O_CREAT | O_WRONLY, 0600);
	put(fd, "not closed before power-off");
	reboot(RB_POWER_OFF);
}

static void many(void)
{
	char path[64];
	int i;

	for (i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/root/many/%d", i);
		file(path, path + 11);
	}
	i = open("/dev/shm/open", O_CREAT | O_WRONLY, 0600);
	put(i, "open when killed");
	kill(-1, SIGKILL);
	kill(getpid(), SIGKILL);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "memory"))
		return 0;
	if (argc > 1 && !strcmp(argv[1], "many")) {
		if (system("mkdir /root/many"))
			return 1;
		many();
	}
	everything(argv[0]);
	return 0;
}
