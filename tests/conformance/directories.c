/* Names: directories, links, special files. */
#include "conform.h"
#include <sys/sysmacros.h>

void directories(void)
{
	int dir;

	CALL(SYS_mkdir, "/tmp/conform.dir", 0700);
	CALL(SYS_mkdir, "/tmp/conform.dir", 0700);
	CALL(SYS_chdir, "/tmp/conform.dir");
	CALL(SYS_chdir, "/nothing");
	CALL(SYS_getcwd, buffer, 4096);
	CALL(SYS_getcwd, buffer, 3);
	dir = CALL(SYS_open, ".", O_RDONLY | O_DIRECTORY);
	CALL(SYS_fchdir, dir);
	CALL(SYS_fchdir, NOFD);
	CALL(SYS_mkdirat, dir, "sub", 0755);
	CALL(SYS_mkdirat, NOFD, "sub", 0755);
	CALL(SYS_mknod, "fifo", S_IFIFO | 0600, 0);
	CALL(SYS_mknod, "null", S_IFCHR | 0666, makedev(1, 3));
	CALL(SYS_mknodat, dir, "file", S_IFREG | 0644, 0);
	CALL(SYS_mknodat, dir, "file", S_IFREG | 0644, 0);
	CALL(SYS_link, "file", "hard");
	CALL(SYS_link, "nothing", "hard2");
	CALL(SYS_linkat, dir, "file", dir, "hard3", 0);
	CALL(SYS_linkat, NOFD, "file", dir, "hard4", AT_SYMLINK_FOLLOW);
	CALL(SYS_symlink, "/etc/passwd", "soft");
	CALL(SYS_symlink, "/etc/passwd", "soft");
	CALL(SYS_symlinkat, "target", dir, "soft2");
	CALL(SYS_readlink, "soft", buffer, 100);
	CALL(SYS_readlink, "file", buffer, 100);
	CALL(SYS_readlink, "soft", buffer, 4);
	CALL(SYS_readlinkat, dir, "soft2", buffer, 100);
	CALL(SYS_getdents64, dir, buffer, 1000);
	CALL(SYS_getdents64, dir, buffer, 1000);
	CALL(SYS_getdents64, NOFD, buffer, 1000);
	CALL(SYS_lseek, dir, 0, SEEK_SET);
	CALL(SYS_getdents, dir, buffer, 1000);
	CALL(SYS_getdents, dir, buffer, 2);
	CALL(SYS_rename, "hard", "renamed");
	CALL(SYS_rename, "nothing", "renamed");
	CALL(SYS_renameat, dir, "renamed", dir, "again");
	CALL(SYS_renameat2, dir, "again", dir, "hard3", 2);
	CALL(SYS_renameat2, dir, "again", dir, "hard3", 1);
	CALL(SYS_unlinkat, dir, "sub", AT_REMOVEDIR);
	CALL(SYS_unlinkat, dir, "nothing", 0);
	CALL(SYS_unlink, "again");
	CALL(SYS_unlink, "hard3");
	CALL(SYS_unlink, "file");
	CALL(SYS_unlink, "soft");
	CALL(SYS_unlink, "soft2");
	CALL(SYS_unlink, "fifo");
	CALL(SYS_unlink, "null");
	CALL(SYS_chdir, "/");
	CALL(SYS_rmdir, "/tmp/conform.dir");
	CALL(SYS_rmdir, "/tmp/conform.dir");
	CALL(SYS_chroot, "/nothing");
	CALL(SYS_pivot_root, "/nothing", "/nowhere");
	CALL(SYS_lookup_dcookie, 1, buffer, 100);
	CALL(SYS_sysfs, 3);
	CALL(SYS_sysfs, 1, "ext4");
	CALL(SYS_vhangup + 10000);
}
