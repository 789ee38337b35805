/* Memory: mappings, their protection, advice, locks, keys and policies. */
#include "conform.h"

void memory(void)
{
	unsigned long mask = 1, mode = 0;
	char *page, *second;
	void *at, *range[2];

	page = (char *)CALL(SYS_mmap, NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CALL(SYS_mmap, NULL, 0, PROT_READ, MAP_SHARED, -1, 0);
	CALL(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, NOFD, 4096);
	second = (char *)CALL(SYS_mmap, NULL, 8192, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CALL(SYS_mprotect, page, 4096, PROT_READ);
	CALL(SYS_mprotect, page + 1, 4096, PROT_READ | PROT_EXEC);
	page[8192] = 1;
	CALL(SYS_mincore, page, 16384, buffer);
	CALL(SYS_mincore, page + 1, 16384, buffer);
	CALL(SYS_madvise, page, 8192, 4);
	CALL(SYS_madvise, page, 4096, 16);
	CALL(SYS_madvise, page, 4096, 999);
	CALL(SYS_msync, second, 4096, MS_ASYNC);
	CALL(SYS_msync, page, 4096, MS_SYNC | MS_INVALIDATE);
	CALL(SYS_msync, page, 4096, 64);
	CALL(SYS_mlock, page, 4096);
	CALL(SYS_mlock2, page, 4096, 1);
	CALL(SYS_mlock2, page, 4096, 8);
	CALL(SYS_munlock, page, 4096);
	CALL(SYS_mlockall, 0);
	CALL(SYS_munlockall);
	page = (char *)CALL(SYS_mremap, page, 16384, 32768, MREMAP_MAYMOVE);
	CALL(SYS_mremap, BAD, 4096, 8192, 0);
	CALL(SYS_remap_file_pages, page, 4096, 0, 0, 0);
	CALL(SYS_brk, NULL);
	CALL(SYS_brk, 0x1000);
	CALL(SYS_pkey_alloc, 0, 2);
	CALL(SYS_pkey_mprotect, page, 4096, PROT_READ | PROT_WRITE, -1);
	CALL(SYS_pkey_free, 9);
	CALL(SYS_get_mempolicy, &mode, &mask, 64, NULL, 0);
	CALL(SYS_get_mempolicy, NULL, NULL, 0, page, 99);
	CALL(SYS_set_mempolicy, 0, NULL, 0);
	CALL(SYS_set_mempolicy, 77, &mask, 64);
	CALL(SYS_mbind, page, 4096, 0, NULL, 0, 0);
	CALL(SYS_mbind, page, 4096, 2, &mask, 64, 3);
	CALL(SYS_migrate_pages, 0, 64, &mask, &mask);
	at = page;
	CALL(SYS_move_pages, 0, 1, &at, NULL, buffer, 0);
	CALL(450 /* set_mempolicy_home_node */, page, 4096, 0, 0);
	CALL(462 /* mseal */, second, 4096, 0);
	CALL(462, second + 1, 4096, 0);
	CALL(453 /* map_shadow_stack */, 0, 4096, 0);
	range[0] = page, range[1] = (void *)4096;
	CALL(SYS_process_madvise, NOFD, range, 1, 20, 0);
	CALL(SYS_process_mrelease, NOFD, 0);
	CALL(SYS_munmap, page, 32768);
	CALL(SYS_munmap, page + 1, 4096);
	CALL(SYS_modify_ldt, 0, buffer, 64);
	CALL(SYS_membarrier, 0, 0, 0);
	CALL(SYS_membarrier, 8, 0, 0);
	CALL(SYS_membarrier, 77, 1, 0);
	CALL(SYS_rseq, BAD, 32, 0, 0x53053053);
	CALL(SYS_arch_prctl, 0x1003, buffer);
	CALL(SYS_arch_prctl, 0x1001, 0);
	CALL(SYS_arch_prctl, 0x9999, 0);
}
