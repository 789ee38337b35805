/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the guest's firmware still says of the emulator: the device through which it gave the firmware its tables, and the
 * name of the compiler of those tables. Nothing in the guest needs either once it has booted.
 */
#include <linux/acpi.h>
#include <linux/platform_device.h>

#define CONFIGURATION_DEVICE "QEMU0002"
#define COMPILER "BXPC"
#define OTHER_COMPILER "INTL"	/* Intel's, which most firmware was compiled with */
#define OTHER_DEVICE "PNP0C02\0"	/* a mainboard's resources, which is what it had */
#define TABLES 64

static void remove_configuration_device(void)
{
	struct device *platform = bus_find_device_by_name(&platform_bus_type, NULL, CONFIGURATION_DEVICE ":00");
	struct acpi_device *node = acpi_dev_get_first_match_dev(CONFIGURATION_DEVICE, NULL, -1);

	if (platform) {
		platform_device_unregister(to_platform_device(platform));
		put_device(platform);
	}
	if (node) {
		device_del(&node->dev);
		acpi_dev_put(node);
	}
}

static void rename_in_table(struct acpi_table_header *table)
{
	char *text = (char *)table, *end = text + table->length - strlen(CONFIGURATION_DEVICE);
	u8 sum = 0;
	u32 i;

	if (!memcmp(table->asl_compiler_id, COMPILER, sizeof(table->asl_compiler_id)))
		memcpy(table->asl_compiler_id, OTHER_COMPILER, sizeof(table->asl_compiler_id));
	for (; text < end; text++)
		if (!memcmp(text, CONFIGURATION_DEVICE, strlen(CONFIGURATION_DEVICE)))
			memcpy(text, OTHER_DEVICE, strlen(CONFIGURATION_DEVICE));
	table->checksum = 0;
	for (i = 0; i < table->length; i++)
		sum += ((u8 *)table)[i];
	table->checksum = -sum;
}

static void dress_firmware(void)
{
	struct acpi_table_header *table;
	u32 i;

	remove_configuration_device();
	for (i = 0; i < TABLES && ACPI_SUCCESS(acpi_get_table_by_index(i, &table)); i++) {
		/* all but this one begin with a whole header */
		if (memcmp(table->signature, ACPI_SIG_FACS, sizeof(table->signature)))
			rename_in_table(table);
		acpi_put_table(table);
	}
}
