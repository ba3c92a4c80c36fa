/* What a program sees of the interfaces: getifaddrs (netlink), ioctl, /proc/net. Only `lo` is compared. */
#include "t.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
int main(void) {
    struct ifaddrs *list = NULL;
    TRY(getifaddrs(&list));
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "lo")) continue;
        char t[64] = "", m[64] = "";
        int f = i->ifa_addr ? i->ifa_addr->sa_family : -1;
        if (f == AF_INET) {
            inet_ntop(f, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, t, sizeof t);
            inet_ntop(f, &((struct sockaddr_in *)i->ifa_netmask)->sin_addr, m, sizeof m);
        }
        if (f == AF_INET6) {
            inet_ntop(f, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, t, sizeof t);
            inet_ntop(f, &((struct sockaddr_in6 *)i->ifa_netmask)->sin6_addr, m, sizeof m);
        }
        printf("%s %d %s/%s flags %x\n", i->ifa_name, f, t, m,
               i->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
    }
    freeifaddrs(list);
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq r;
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "lo");
    TRY(ioctl(s, SIOCGIFFLAGS, &r));
    printf("flags %x\n", r.ifr_flags & 0xffff);
    TRY(ioctl(s, SIOCGIFMTU, &r));
    VAL(r.ifr_mtu);
    TRY(ioctl(s, SIOCGIFINDEX, &r));
    VAL(r.ifr_ifindex);
    TRY(ioctl(s, SIOCGIFHWADDR, &r));
    VAL(r.ifr_hwaddr.sa_family);
    TRY(ioctl(s, SIOCGIFADDR, &r));
    puts(inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
    TRY(ioctl(s, SIOCGIFNETMASK, &r));
    puts(inet_ntoa(((struct sockaddr_in *)&r.ifr_netmask)->sin_addr));
    TRY(ioctl(s, SIOCGIFBRDADDR, &r));
    puts(inet_ntoa(((struct sockaddr_in *)&r.ifr_broadaddr)->sin_addr));
    strcpy(r.ifr_name, "none");
    TRY(ioctl(s, SIOCGIFFLAGS, &r));
    VAL(if_nametoindex("lo"));
    char name[IF_NAMESIZE];
    puts(if_indextoname(1, name));
    struct ifconf c = {0};
    TRY(ioctl(s, SIOCGIFCONF, &c));
    IS(c.ifc_len >= (int)sizeof r);
    char line[256];
    FILE *f = fopen("/proc/net/if_inet6", "r");
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, " lo")) fputs(line, stdout);
    f = fopen("/proc/net/dev", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strstr(line, ":")) fputs(line, stdout);
    f = fopen("/proc/sys/net/core/somaxconn", "r");
    if (f && fgets(line, sizeof line, f)) fputs(line, stdout);
    /* A listener in the table of sockets. */
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(34567), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(l, (void *)&a, sizeof a);
    listen(l, 3);
    f = fopen("/proc/net/tcp", "r");
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, "sl") || strstr(line, ":8707")) printf("%.38s\n", line);
    return 0;
}
