/* A register server without anything: one static file, UDP, a log that is synced before each answer.
 *
 * Usage: register_server DATA PORT OWN PRIMARY [stale|unsynced]. Addresses are IPv4. Requests are "NUMBER r KEY", "NUMBER w KEY
 * NEW" and "NUMBER c KEY OLD NEW"; values are words. The primary answers. Another passes on what it is asked, and what
 * it is answered. stale: it answers reads itself, from what the primary has sent it of each write. unsynced:
 * it answers before the log is durable.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYS 4096
#define PEERS 16
static struct { char key[64], value[64]; } held[KEYS];
static struct in_addr peers[PEERS];
static int count, known, sock, saved, unsynced;

static char *value_of(const char *key) {
    for (int i = 0; i < count; i++)
        if (!strcmp(held[i].key, key))
            return held[i].value;
    if (count == KEYS)
        exit(4);
    strcpy(held[count].key, key);
    strcpy(held[count].value, "null");
    return held[count++].value;
}

static void send_to(const char *text, struct in_addr host, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host};
    sendto(sock, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to);
}

static void keep(const char *key, const char *value, int port) {
    char line[256];
    snprintf(line, sizeof line, "%s %s\n", key, value);
    if (write(saved, line, strlen(line)) < 0 || (!unsynced && fsync(saved)))
        exit(5);
    strcpy(value_of(key), value);
    snprintf(line, sizeof line, "copy %s %s", key, value);
    for (int i = 0; i < known; i++)
        send_to(line, peers[i], port);
}

static void answer(const char *request, char *said, int port) {
    char number[64], op, key[64], first[64] = "", second[64] = "";
    said[0] = 0;
    if (sscanf(request, "%63s %c %63s %63s %63s", number, &op, key, first, second) < 3)
        return;
    char *value = value_of(key);
    if (op == 'w')
        keep(key, first, port);
    if (op == 'c') {
        int equal = !strcmp(value, first);
        if (equal)
            keep(key, second, port);
        sprintf(said, "%s %s", number, equal ? "true" : "false");
    } else
        sprintf(said, "%s %s", number, value);
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    int port = atoi(argv[2]), stale = argc > 5 && !strcmp(argv[5], "stale");
    unsynced = argc > 5 && !strcmp(argv[5], "unsynced");
    struct in_addr own, primary;
    inet_aton(argv[3], &own);
    inet_aton(argv[4], &primary);
    int is_primary = own.s_addr == primary.s_addr;
    char path[640], text[512], said[512], key[64], value[64], client[64];
    snprintf(path, sizeof path, "%s/log", argv[1]);
    FILE *old = fopen(path, "r");
    while (old && fscanf(old, "%63s %63s", key, value) == 2)
        strcpy(value_of(key), value);
    saved = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (saved < 0) {
        perror(path);
        return 3;
    }
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)}, from;
    if (bind(sock, (struct sockaddr *)&here, sizeof here))
        return 6;
    printf("serving as %s with %d keys\n", is_primary ? "primary" : "another", count);
    fflush(stdout);
    if (!is_primary)
        send_to("hello", primary, port);
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(sock, text, sizeof text - 1, 0, (struct sockaddr *)&from, &size);
        if (length < 0)
            continue;
        text[length] = 0;
        int back = 0, asked = 0, at = 0;
        if (!strncmp(text, "copy ", 5)) {
            if (stale && sscanf(text, "copy %63s %63s", key, value) == 2)
                strcpy(value_of(key), value);
        } else if (sscanf(text, "for %63s %d %n", client, &asked, &at) == 2 && at) {
            int i = 0;
            while (i < known && peers[i].s_addr != from.sin_addr.s_addr)
                i++;
            if (i == known && known < PEERS)
                peers[known++] = from.sin_addr;
            answer(text + at, said, port);
            snprintf(path, sizeof path, "to %s %d %s", client, asked, said);
            send_to(path, from.sin_addr, port);
        } else if (sscanf(text, "to %63s %d %n", client, &back, &at) == 2 && at) {
            struct in_addr host;
            if (inet_aton(client, &host))
                send_to(text + at, host, back);
        } else if (is_primary || (stale && strstr(text, " r "))) {
            answer(text, said, port);
            if (said[0])
                send_to(said, from.sin_addr, ntohs(from.sin_port));
        } else {
            char passed[640];
            snprintf(passed, sizeof passed, "for %s %d %s", inet_ntoa(from.sin_addr), ntohs(from.sin_port), text);
            send_to(passed, primary, port);
        }
    }
}
