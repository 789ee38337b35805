/* Extended attributes and the notification of changes. */
#include "conform.h"
#include <sys/inotify.h>
#include <linux/fanotify.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

void attributes(void)
{
	int fd = CALL(SYS_open, "/tmp/conform.attr", O_RDWR | O_CREAT, 0600), in, fan;
	long number = 0;

	CALL(SYS_setxattr, "/tmp/conform.attr", "user.one", "value", 5, 1);
	CALL(SYS_setxattr, "/tmp/conform.attr", "user.one", "value", 5, 1);
	CALL(SYS_lsetxattr, "/tmp/conform.attr", "trusted.two", "\0\1\2", 3, 0);
	CALL(SYS_fsetxattr, fd, "user.three", "3", 1, 2);
	CALL(SYS_getxattr, "/tmp/conform.attr", "user.one", buffer, 100);
	CALL(SYS_getxattr, "/tmp/conform.attr", "user.none", buffer, 100);
	CALL(SYS_lgetxattr, "/tmp/conform.attr", "trusted.two", buffer, 100);
	CALL(SYS_fgetxattr, fd, "user.one", buffer, 2);
	CALL(SYS_fgetxattr, fd, "user.one", NULL, 0);
	CALL(SYS_listxattr, "/tmp/conform.attr", buffer, 1000);
	CALL(SYS_llistxattr, "/nothing", buffer, 1000);
	CALL(SYS_flistxattr, fd, buffer, 1000);
	CALL(SYS_removexattr, "/tmp/conform.attr", "user.one");
	CALL(SYS_removexattr, "/tmp/conform.attr", "user.one");
	CALL(SYS_lremovexattr, "/tmp/conform.attr", "trusted.two");
	CALL(SYS_fremovexattr, fd, "user.none");
	CALL(SYS_inotify_init);
	in = CALL(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
	CALL(SYS_inotify_init1, 0x12345);
	CALL(SYS_inotify_add_watch, in, "/tmp", IN_CREATE | IN_DELETE | IN_ONESHOT);
	CALL(SYS_inotify_add_watch, in, "/nothing", IN_ALL_EVENTS);
	CALL(SYS_inotify_rm_watch, in, 99);
	fan = CALL(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
	CALL(SYS_fanotify_init, 0x80000000, O_RDONLY);
	CALL(SYS_fanotify_mark, fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN | FAN_CLOSE_WRITE, AT_FDCWD, "/tmp");
	CALL(SYS_fanotify_mark, NOFD, FAN_MARK_REMOVE, FAN_ACCESS | FAN_ONDIR, AT_FDCWD, "/nothing");
	CALL(SYS_ioctl, fd, FS_IOC_GETFLAGS, &number);
	CALL(SYS_ioctl, fd, FS_IOC_SETFLAGS, &number);
	CALL(SYS_ioctl, fd, FIONREAD, &number);
	CALL(SYS_ioctl, fd, TCGETS, buffer);
	CALL(SYS_ioctl, fd, FIOCLEX);
	CALL(SYS_ioctl, fd, FIGETBSZ, &number);
	CALL(SYS_ioctl, NOFD, FIONBIO, &number);
	CALL(SYS_ioctl, fd, 0x12345678, 5);
	CALL(SYS_close, fan);
	CALL(SYS_unlink, "/tmp/conform.attr");
}
