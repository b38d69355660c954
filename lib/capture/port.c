/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The sluice authors
 */

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_pci.h>

#include "port.h"

#define PCI_DEVICES "/sys/bus/pci/devices"
/* Not names, but what a vdev's name begins with; the PMDs that make sense as a source of packets. */
#define VDEV_PREFIX "net_"

int
port_err(int err, char *errbuf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(errbuf, SL_CAPTURE_ERRBUF, format, args);
	va_end(args);
	return err;
}

uint64_t
port_system_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool
port_devarg(const char *text, const char *key, char *value, size_t size)
{
	size_t len = strlen(key);

	for (const char *p = strchr(text, ','); p; p = strchr(p, ',')) {
		p++;
		if (strncmp(p, key, len) == 0 && p[len] == '=') {
			p += len + 1;
			snprintf(value, size, "%.*s", (int)strcspn(p, ","), p);
			return true;
		}
	}
	return false;
}

/* "eth0, lo" */
static void
list_interfaces(char *text, size_t size)
{
	struct if_nameindex *all = if_nameindex();
	size_t used = 0;

	text[0] = '\0';
	for (struct if_nameindex *i = all; i && i->if_index && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", i->if_name);
	if (all)
		if_freenameindex(all);
}

/* That the interface is there, is up, and this process may read it. */
static int
check_interface(const char *text, const char *name, char *errbuf)
{
	struct ifreq request = {0};
	char others[512];
	int fd, ret = 0;

	if (strcmp(name, "any") != 0) {
		snprintf(request.ifr_name, sizeof(request.ifr_name), "%.*s", IFNAMSIZ - 1, name);
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return port_err(-errno, errbuf, "--port %s: socket: %s", text, strerror(errno));
		if (strlen(name) >= IFNAMSIZ || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
			ret = -ENODEV;
		close(fd);
		if (ret < 0) {
			list_interfaces(others, sizeof(others));
			return port_err(ret, errbuf,
				"--port %s: there is no network interface \"%s\" (there are: %s); write an interface, "
				"a PCI "
				"address or a DPDK virtual device such as net_af_packet0,iface=eth0",
				text, name, others);
		}
		if (!(request.ifr_flags & IFF_UP))
			return port_err(
				-ENETDOWN, errbuf, "--port %s: the interface is down; `ip link set %s up`", text, name);
	}
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 && (errno == EPERM || errno == EACCES))
		return port_err(-EPERM, errbuf,
			"--port %s: not allowed to read packets; run it as root, or `setcap cap_net_raw,cap_net_admin,"
			"cap_ipc_lock+ep` the program",
			text);
	if (fd < 0)
		return port_err(-errno, errbuf, "--port %s: packet socket: %s", text, strerror(errno));
	close(fd);
	return 0;
}

static int
check_vdev(struct sl_port_spec *spec, char *errbuf)
{
	size_t len = strcspn(spec->text, ",");
	char value[PATH_MAX];
	bool packet_socket;

	if (len >= sizeof(spec->name))
		return port_err(-EINVAL, errbuf, "--port %s: the name before the comma is too long", spec->text);
	snprintf(spec->name, sizeof(spec->name), "%.*s", (int)len, spec->text);
	if (strncmp(spec->name, "net_pcap", 8) == 0 && port_devarg(spec->text, "rx_pcap", value, sizeof(value)) &&
		access(value, R_OK) < 0)
		return port_err(-errno, errbuf, "--port %s: %s: %s", spec->text, value, strerror(errno));
	packet_socket = strncmp(spec->name, "net_af_", 7) == 0;
	if (packet_socket && !port_devarg(spec->text, "iface", value, sizeof(value)))
		return port_err(
			-EINVAL, errbuf, "--port %s: of which interface? write %s,iface=eth0", spec->text, spec->name);
	return packet_socket ? check_interface(spec->text, value, errbuf) : 0;
}

/* A NIC that the kernel drives is the kernel's; mlx4 and mlx5 share theirs with DPDK. */
static int
check_pci(const struct sl_port_spec *spec, char *errbuf)
{
	static const char *const ours[] = {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core", "mlx5_core"};
	char path[PATH_MAX], link[PATH_MAX];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s", spec->name);
	if (access(path, F_OK) < 0)
		return port_err(-ENODEV, errbuf,
			"--port %s: there is no PCI device %s; `dpdk-devbind.py --status` lists them", spec->text,
			spec->name);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", spec->name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return port_err(-EBUSY, errbuf,
			"--port %s: no driver has it; `dpdk-devbind.py --bind vfio-pci %s` gives it to DPDK",
			spec->text, spec->name);
	link[n] = '\0';
	driver = strrchr(link, '/');
	driver = driver ? driver + 1 : link;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (!strcmp(driver, ours[i]))
			return 0;
	return port_err(-EBUSY, errbuf,
		"--port %s: the kernel's driver %s has it; name its interface instead, or give it to DPDK with "
		"`dpdk-devbind.py --bind vfio-pci %s`",
		spec->text, driver, spec->name);
}

int
sl_port_spec_parse(const char *text, struct sl_port_spec *spec, char *errbuf)
{
	struct rte_pci_addr address;
	char name[64];

	*spec = (struct sl_port_spec){.text = text};
	if (text[0] == '\0')
		return port_err(-EINVAL, errbuf,
			"--port '': write an interface such as eth0, a PCI address such as 0000:01:00.0, or a DPDK "
			"virtual "
			"device such as net_af_packet0,iface=eth0");
	if (strncmp(text, VDEV_PREFIX, strlen(VDEV_PREFIX)) == 0) {
		spec->kind = SL_PORT_VDEV;
		return check_vdev(spec, errbuf);
	}
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, ","), text);
	if (rte_pci_addr_parse(name, &address) == 0) {
		spec->kind = SL_PORT_PCI;
		rte_pci_device_name(&address, spec->name, sizeof(spec->name));
		return check_pci(spec, errbuf);
	}
	spec->kind = SL_PORT_INTERFACE;
	snprintf(spec->name, sizeof(spec->name), "%.63s", text);
	return check_interface(text, text, errbuf);
}
