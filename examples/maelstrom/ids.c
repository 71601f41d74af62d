/* A node in C, without any library: it repeats what it is told, and makes ids.

    cc -O2 -o ids maelstrom/ids.c
    splitbrain run echo --system maelstrom --bin ./ids --time-limit 5
    splitbrain run unique-ids --system maelstrom --bin ./ids --faults kill --time-limit 10

An id is the node's name, the moment at which its process started, and a number. With the argument `counted` it lacks
the moment, so that a node which was killed starts over, and gives ids out again:

    splitbrain run unique-ids --system maelstrom --bin ./ids --faults kill --time-limit 10 -- counted
*/

#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Where the value of a field begins. Enough for the harness's own messages: it looks for no name inside a string. */
static char *value_of(char *text, const char *field) {
    char name[64];
    snprintf(name, sizeof name, "\"%s\":", field);
    char *found = strstr(text, name);
    return found ? found + strlen(name) : NULL;
}

/* The length of a string or a number, quotes included. */
static int length_of(const char *value) {
    int at = 0;
    if (value[0] != '"') {
        return (int)strcspn(value, ",}");
    }
    for (at = 1; value[at] && value[at] != '"'; at++) {
        if (value[at] == '\\' && value[at + 1]) {
            at++;
        }
    }
    return at + 1;
}

static int is(const char *value, const char *text) {
    size_t length = strlen(text);
    return value && value[0] == '"' && strncmp(value + 1, text, length) == 0 && value[length + 1] == '"';
}

int main(int count, char **arguments) {
    int counted = count > 1 && strcmp(arguments[1], "counted") == 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    long long started = counted ? 0 : now.tv_sec * 1000000000LL + now.tv_nsec;
    char node[64] = "\"\"";
    long long given = 0;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        char *source = value_of(line, "src"), *body = value_of(line, "body");
        char *type = body ? value_of(body, "type") : NULL, *number = body ? value_of(body, "msg_id") : NULL;
        if (!source || !type || !number) {
            fprintf(stderr, "not understood: %s", line);
            continue;
        }
        if (is(type, "init")) {
            char *name = value_of(body, "node_id");
            snprintf(node, sizeof node, "%.*s", length_of(name), name);
        }
        printf("{\"src\":%s,\"dest\":%.*s,\"body\":{\"in_reply_to\":%.*s,", node, length_of(source), source,
               length_of(number), number);
        if (is(type, "init")) {
            printf("\"type\":\"init_ok\"");
        } else if (is(type, "echo")) {
            char *said = value_of(body, "echo");
            printf("\"type\":\"echo_ok\",\"echo\":%.*s", length_of(said), said);
        } else if (is(type, "generate")) {
            printf("\"type\":\"generate_ok\",\"id\":\"%.*s-%lld-%lld\"", length_of(node) - 2, node + 1, started,
                   given++);
        } else {
            printf("\"type\":\"error\",\"code\":10,\"text\":\"only echo and generate\"");
        }
        printf("}}\n");
        fflush(stdout);
    }
    return 0;
}
