/* Mounts and namespaces. */
#include "conform.h"
#include <sys/mount.h>

void mounts(void)
{
	struct { uint64_t set, clear, propagation, userns; } change = { 1, 0, 0, 0 };
	struct { uint32_t size, spare; uint64_t id, param; } request = { 24, 0, 0, 0 };
	uint64_t ids[16];
	int fs, mount_fd, tree;

	CALL(SYS_unshare, CLONE_NEWNS);
	CALL(SYS_unshare, CLONE_NEWUTS | CLONE_NEWIPC);
	CALL(SYS_unshare, 0x100);
	CALL(SYS_mount, "none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	CALL(SYS_mkdir, "/tmp/conform.mnt", 0755);
	CALL(SYS_mount, "source", "/tmp/conform.mnt", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=700");
	CALL(SYS_mount, "/nothing", "/nowhere", "ext4", MS_RDONLY, "data");
	CALL(SYS_mount, "/tmp", "/tmp/conform.mnt", NULL, MS_BIND, NULL);
	CALL(SYS_umount2, "/tmp/conform.mnt", MNT_DETACH);
	CALL(SYS_umount2, "/tmp/conform.mnt", 8);
	CALL(SYS_umount2, "/nothing", 0);
	fs = CALL(SYS_fsopen, "tmpfs", 1);
	CALL(SYS_fsopen, "nonsense", 0);
	CALL(SYS_fsconfig, fs, 1, "size", "1m", 0);
	CALL(SYS_fsconfig, fs, 0, "noswap", NULL, 0);
	CALL(SYS_fsconfig, fs, 1, "bad", "option", 0);
	CALL(SYS_fsconfig, fs, 6, NULL, NULL, 0);
	CALL(SYS_fsconfig, NOFD, 6, NULL, NULL, 0);
	mount_fd = CALL(SYS_fsmount, fs, 1, 4 | 8);
	CALL(SYS_fsmount, NOFD, 0, 0);
	CALL(SYS_move_mount, mount_fd, "", AT_FDCWD, "/tmp/conform.mnt", 4);
	CALL(SYS_move_mount, AT_FDCWD, "/nothing", AT_FDCWD, "/nowhere", 0);
	tree = CALL(SYS_open_tree, AT_FDCWD, "/tmp/conform.mnt", 1 | O_CLOEXEC);
	CALL(SYS_open_tree, AT_FDCWD, "/nothing", AT_SYMLINK_NOFOLLOW);
	CALL(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &change, sizeof(change));
	CALL(SYS_mount_setattr, AT_FDCWD, "/nothing", 0, &change, sizeof(change));
	CALL(SYS_fspick, AT_FDCWD, "/tmp/conform.mnt", 1);
	CALL(SYS_fspick, AT_FDCWD, "/nothing", 0);
	CALL(457 /* statmount */, BAD, buffer, 512, 0);
	request.id = ~0UL;
	CALL(458 /* listmount */, &request, ids, 16, 0);
	CALL(458, BAD, ids, 16, 0);
	CALL(SYS_setns, tree, CLONE_NEWNET);
	CALL(SYS_setns, NOFD, CLONE_NEWNS);
	CALL(SYS_umount2, "/tmp/conform.mnt", 0);
	CALL(SYS_rmdir, "/tmp/conform.mnt");
}
