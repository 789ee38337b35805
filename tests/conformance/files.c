/* Opening, reading, writing and changing files. */
#include "conform.h"
#include <linux/openat2.h>
#include <linux/falloc.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/statfs.h>
#include <utime.h>
#include <sys/time.h>
#include <sys/resource.h>

void files(void)
{
	struct stat st;
	struct statfs fs;
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	struct iovec iov[2] = { { "first", 5 }, { "second", 6 } }, into[2] = { { buffer, 3 }, { buffer + 100, 20 } };
	struct utimbuf stamp = { 1000000000, 1000000001 };
	struct timeval pair[2] = { { 1000000002, 3 }, { 1000000004, 5 } };
	struct timespec fine[2] = { { 1000000006, 7 }, { 0, UTIME_OMIT } };
	char text[] = "a line of text\n", big[3000];
	long offset = 2, other = 0, range[2] = { 0, 4096 };
	int fd, two, dir;

	memset(big, 'b', sizeof(big));
	fd = CALL(SYS_open, "/tmp/conform.file", O_RDWR | O_CREAT | O_TRUNC, 0640);
	CALL(SYS_open, "/nowhere/at/all", O_RDONLY | O_NOFOLLOW | O_DIRECTORY);
	CALL(SYS_open, BAD, O_WRONLY | O_APPEND);
	two = CALL(SYS_creat, "/tmp/conform.other", 0600);
	dir = CALL(SYS_openat, AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CALL(SYS_openat, NOFD, "relative", O_RDONLY);
	CALL(SYS_openat, dir, "conform.file", O_RDONLY | O_PATH);
	CALL(SYS_openat2, AT_FDCWD, "/etc/hostname", &how, sizeof(how));
	how.flags = 1 << 30;
	CALL(SYS_openat2, dir, "conform.file", &how, sizeof(how));
	CALL(SYS_write, fd, text, sizeof(text) - 1);
	CALL(SYS_write, fd, big, sizeof(big));
	CALL(SYS_write, fd, "nul\0\n\"quote\"\\\xff\x01", 15);
	CALL(SYS_write, NOFD, text, 4);
	CALL(SYS_write, fd, BAD, 4);
	CALL(SYS_lseek, fd, 0, SEEK_SET);
	CALL(SYS_lseek, fd, -5L, SEEK_END);
	CALL(SYS_lseek, fd, 0, 77);
	CALL(SYS_pread64, fd, buffer, 10, 2);
	CALL(SYS_pwrite64, fd, "pwrite", 6, 20);
	CALL(SYS_pread64, fd, buffer, 10, -1L);
	CALL(SYS_lseek, fd, 0, SEEK_SET);
	CALL(SYS_read, fd, buffer, 15);
	CALL(SYS_read, fd, buffer, 2000);
	CALL(SYS_read, fd, BAD, 15);
	CALL(SYS_readv, fd, into, 2);
	CALL(SYS_writev, fd, iov, 2);
	CALL(SYS_writev, fd, BAD, 2);
	CALL(SYS_preadv, fd, into, 2, 1, 0);
	CALL(SYS_pwritev, fd, iov, 2, 30, 0);
	CALL(SYS_preadv2, fd, into, 2, 1, 0, RWF_HIPRI & 0);
	CALL(SYS_pwritev2, fd, iov, 2, 30, 0, RWF_DSYNC);
	CALL(SYS_pwritev2, fd, iov, 2, 30, 0, 0x4000);
	CALL(SYS_sendfile, two, fd, &offset, 100);
	CALL(SYS_sendfile, two, fd, NULL, 10);
	CALL(SYS_sendfile, two, NOFD, NULL, 10);
	offset = 3;
	CALL(SYS_copy_file_range, fd, &offset, two, &other, 50, 0);
	CALL(SYS_copy_file_range, fd, NULL, two, NULL, 50, 9);
	CALL(SYS_stat, "/tmp/conform.file", &st);
	CALL(SYS_stat, "/tmp/conform.missing", &st);
	CALL(SYS_lstat, "/dev/null", &st);
	CALL(SYS_fstat, fd, &st);
	CALL(SYS_fstat, NOFD, &st);
	CALL(SYS_newfstatat, dir, "conform.other", &st, AT_SYMLINK_NOFOLLOW);
	CALL(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
	CALL(SYS_newfstatat, dir, "nothing", &st, 0);
	CALL(SYS_statx, AT_FDCWD, "/etc/passwd", AT_SYMLINK_NOFOLLOW, 0x17ff, buffer);
	CALL(SYS_statx, AT_FDCWD, "/nothing", AT_STATX_FORCE_SYNC, 0x7ff, buffer);
	CALL(SYS_statfs, "/tmp", &fs);
	CALL(SYS_statfs, "/nothing", &fs);
	CALL(SYS_fstatfs, fd, &fs);
	CALL(SYS_fstatfs, NOFD, &fs);
	CALL(SYS_ustat, st.st_dev, buffer);
	CALL(SYS_ustat, 0xfffff, buffer);
	CALL(SYS_access, "/etc/passwd", R_OK | W_OK);
	CALL(SYS_access, "/nothing", F_OK);
	CALL(SYS_faccessat, AT_FDCWD, "/etc/shadow", R_OK);
	CALL(SYS_faccessat2, dir, "conform.file", X_OK, AT_EACCESS);
	CALL(SYS_truncate, "/tmp/conform.file", 4096);
	CALL(SYS_truncate, "/nothing", 1);
	CALL(SYS_ftruncate, fd, 8192);
	CALL(SYS_ftruncate, NOFD, 8192);
	CALL(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 0, 65536);
	CALL(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096);
	CALL(SYS_fallocate, NOFD, 0, 0, 1);
	CALL(SYS_fsync, fd);
	CALL(SYS_fsync, NOFD);
	CALL(SYS_fdatasync, fd);
	CALL(SYS_sync_file_range, fd, 0, 4096, 2);
	CALL(SYS_syncfs, NOFD);
	CALL(SYS_fadvise64, fd, 0, 4096, 1);
	CALL(SYS_fadvise64, NOFD, 0, 4096, 4);
	CALL(SYS_readahead, fd, 0, 4096);
	CALL(SYS_chmod, "/tmp/conform.file", 0755);
	CALL(SYS_chmod, "/nothing", 04711);
	CALL(SYS_fchmod, fd, 0600);
	CALL(SYS_fchmod, NOFD, 0600);
	CALL(SYS_fchmodat, dir, "conform.file", 0644);
	CALL(452 /* fchmodat2 */, dir, "conform.file", 0640, AT_SYMLINK_NOFOLLOW);
	CALL(SYS_chown, "/tmp/conform.file", 1, -1);
	CALL(SYS_chown, "/nothing", 0, 0);
	CALL(SYS_fchown, fd, 0, 0);
	CALL(SYS_lchown, "/tmp/conform.file", 0, 2);
	CALL(SYS_fchownat, dir, "conform.file", 0, 0, AT_SYMLINK_NOFOLLOW);
	CALL(SYS_utime, "/tmp/conform.file", &stamp);
	CALL(SYS_utime, "/nothing", NULL);
	CALL(SYS_utimes, "/tmp/conform.file", pair);
	CALL(SYS_futimesat, AT_FDCWD, "/tmp/conform.file", pair);
	CALL(SYS_utimensat, AT_FDCWD, "/tmp/conform.file", fine, AT_SYMLINK_NOFOLLOW);
	CALL(SYS_utimensat, fd, NULL, NULL, 0);
	CALL(SYS_umask, 027);
	CALL(SYS_umask, 022);
	CALL(SYS_flock, fd, 2 | 4);
	CALL(SYS_flock, NOFD, 8);
	CALL(451 /* cachestat */, fd, range, buffer, 0);
	CALL(451, NOFD, range, buffer, 0);
	CALL(SYS_uselib, "/nothing");
	CALL(SYS_name_to_handle_at, AT_FDCWD, "/etc/passwd", memset(buffer, 0, 8), buffer + 512, 0);
	buffer[0] = 64;
	CALL(SYS_name_to_handle_at, AT_FDCWD, "/etc/passwd", buffer, buffer + 512, 0);
	CALL(SYS_open_by_handle_at, dir, buffer, O_RDONLY);
	CALL(SYS_open_by_handle_at, NOFD, buffer, O_RDONLY);
	CALL(SYS_acct, "/nothing");
	CALL(SYS_swapon, "/tmp/conform.file", 0x8001);
	CALL(SYS_swapoff, "/nothing");
	CALL(SYS_quotactl, 0x80000700, "/dev/vda1", 0, buffer);
	CALL(443 /* quotactl_fd */, fd, 0x80000400, 0, buffer);
	CALL(SYS_sync);
	CALL(SYS_close, fd);
	CALL(SYS_close, NOFD);
	CALL(SYS_unlink, "/tmp/conform.file");
	CALL(SYS_unlink, "/tmp/conform.other");
	CALL(SYS_unlink, "/nothing");
}
