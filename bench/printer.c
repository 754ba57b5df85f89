/* A printer behind a pseudo-terminal, so fast that the host alone is what is measured.
 *
 * It talks like Marlin 2.1: line numbers, checksums, `Resend`, a receive buffer that overflows, a queue of lines, a
 * planner that is emptied by moves of a fixed time, and `ok` when a line has left the queue. The wire in front of it
 * takes 10 bits a byte and a latency, both ways. Time is that of the wire and the planner, not of our waking up: what
 * is due is done with the time at which it was due; and where a busy machine lets us wake up too late for that, the
 * printer's time stands still.
 *
 *     bytes in flight -> receive buffer -> line -> queue -> planner
 *                                                    |
 *     host <- replies in flight <----------------- reply
 *
 * It prints a line of JSON with all its counts at the first move, after `--moves` of them, at SIGUSR1 and at the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { WIRED = 1 << 16, REPLIES = 1 << 10, REPLY = 256, LINE = 256, QUEUE = 64, OUTPUT = 1 << 16, SAMPLES = 1 << 20 };

/* Of Marlin: a planner that was empty waits for a third move, or so many seconds. */
static const double START_DELAY = 0.1;
static const int START_MOVES = 3;
/* Seconds: waking up later than this is the machine's doing, and not the host's. */
static const double LATE = 0.002;

static struct {
    const char *link;
    double baud, latency, move, drop_lines, corrupt_lines, drop_oks, double_oks;
    long rx, queue, planner, moves;
    uint64_t seed;
    int advanced_ok, mute_resends;
} opt = {.rx = WIRED, .queue = 4, .seed = 1};

static struct { /* Rings: the oldest is at `first`. */
    struct { double at; char byte; } items[WIRED];
    int first, count;
} wired;
static struct { char bytes[WIRED]; int first, count; } received;
static struct { char text[LINE]; int length; } line;
static struct {
    struct { char text[LINE]; long number; int bytes; } items[QUEUE];
    int first, count;
} queue;
static struct {
    struct { double due; int length; bool ok; char text[REPLY]; } items[REPLIES];
    int first, count;
} replies;
static struct { char bytes[OUTPUT]; int count; } output;
static struct { int count; bool running; double ends, starts; } planner;

static int port;
static long last_number;
static double host_wire_free, printer_wire_free, lost_time;
static double report_every, report_at = INFINITY;
static double waiting_since = -1, dry_since = -1;
static float *samples;
static long sample_count;
static struct {
    long lines, moves, move_bytes, resends, lost_lines, bad_lines, lost_oks, overflow, dry;
    uint32_t crc;
    double first, last, dry_s, lost_before;
} count;
static volatile sig_atomic_t asked, ending;

/* The printer's time: it stands still while this process should run and is not let. */
static double clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9 - lost_time;
}

static bool chance(double share)
{
    if (share <= 0) return false;
    opt.seed ^= opt.seed << 13, opt.seed ^= opt.seed >> 7, opt.seed ^= opt.seed << 17;
    return (opt.seed >> 11) / 9007199254740992.0 < share;
}

static uint32_t crc32_of(uint32_t crc, const char *bytes, size_t length)
{
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t c = n;
            for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
            table[n] = c;
        }
    crc = ~crc;
    while (length--) crc = table[(crc ^ (unsigned char)*bytes++) & 255] ^ crc >> 8;
    return ~crc;
}

/* -- figures -- */

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void tell(const char *event)
{
    float p50 = 0, p99 = 0, most = 0;
    if (sample_count) {
        qsort(samples, sample_count, sizeof *samples, ascending);
        p50 = samples[sample_count / 2], p99 = samples[sample_count * 99 / 100], most = samples[sample_count - 1];
    }
    printf("{\"event\": \"%s\", \"lines\": %ld, \"moves\": %ld, \"crc\": %u, \"move_bytes\": %ld, \"seconds\": %.6f, "
           "\"since_first\": %.6f, \"turns\": %ld, \"turn_p50_us\": %.1f, \"turn_p99_us\": %.1f, \"turn_max_us\": %.1f, "
           "\"dry\": %ld, \"dry_ms\": %.3f, \"resends\": %ld, \"lost_lines\": %ld, \"bad_lines\": %ld, "
           "\"lost_oks\": %ld, \"overflow\": %ld, \"stood_ms\": %.3f}\n",
           event, count.lines, count.moves, count.crc, count.move_bytes, count.last - count.first,
           count.moves ? clock_now() - count.first : 0.0, sample_count, p50, p99, most, count.dry, count.dry_s * 1e3,
           count.resends, count.lost_lines, count.bad_lines, count.lost_oks, count.overflow, (lost_time - count.lost_before) * 1e3);
    fflush(stdout);
}

static void count_move(double now, const char *command, int bytes)
{
    if (!count.moves) count.first = now, count.lost_before = lost_time;
    count.last = now;
    count.moves++;
    count.move_bytes += bytes;
    count.crc = crc32_of(count.crc, command, strlen(command));
    count.crc = crc32_of(count.crc, "\n", 1);
    if (count.moves == 1) tell("first");
    if (count.moves == opt.moves) tell("done");
}

/* -- what the printer says -- */

static double on_wire(double *free_at, double now, int bytes)
{
    if (opt.baud <= 0) return now;
    *free_at = fmax(*free_at, now) + bytes * 10 / opt.baud;
    return *free_at + opt.latency;
}

__attribute__((format(printf, 2, 3))) static void say(double now, const char *format, ...)
{
    if (replies.count == REPLIES) return; /* Nobody reads. */
    int index = (replies.first + replies.count++) % REPLIES;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(replies.items[index].text, REPLY - 1, format, arguments);
    va_end(arguments);
    if (length > REPLY - 2) length = REPLY - 2;
    replies.items[index].text[length++] = '\n';
    replies.items[index].length = length;
    replies.items[index].ok = !strncmp(format, "ok", 2);
    replies.items[index].due = on_wire(&printer_wire_free, now, length);
}

static void say_one_ok(double now, long number)
{
    int moves_free = opt.planner ? opt.planner - planner.count : 16;
    if (opt.advanced_ok && number >= 0)
        say(now, "ok N%ld P%d B%ld", number, moves_free, opt.queue - queue.count);
    else if (opt.advanced_ok)
        say(now, "ok P%d B%ld", moves_free, opt.queue - queue.count);
    else
        say(now, "ok");
}

static void say_ok(double now, long number, bool move)
{
    if (move && chance(opt.drop_oks)) {
        count.lost_oks++;
        return;
    }
    say_one_ok(now, number);
    if (move && chance(opt.double_oks)) say_one_ok(now, number);
}

static void refuse(double now, const char *why)
{
    say(now, "Error:%s, Last Line: %ld", why, last_number);
    received.count = line.length = 0; /* Marlin throws away what it has received behind a bad line. */
    say(now, "Resend: %ld", last_number + 1);
    if (!opt.mute_resends) say(now, "ok");
    count.resends++;
}

/* -- the planner -- */

static void start_moves(double now)
{
    planner.running = true;
    planner.ends = now + opt.move;
    if (dry_since >= 0) count.dry_s += now - dry_since;
    dry_since = -1;
}

static void plan_move(double now)
{
    planner.count++;
    if (planner.running) return;
    if (planner.count == 1) planner.starts = now + START_DELAY;
    if (planner.count >= START_MOVES) start_moves(now);
}

static void end_move(double now)
{
    if (--planner.count) {
        planner.ends = now + opt.move;
        return;
    }
    planner.running = false;
    if (count.moves < opt.moves || !opt.moves) {
        count.dry++;
        dry_since = now;
    }
}

static double planner_due(void)
{
    return planner.running ? planner.ends : planner.count ? planner.starts : INFINITY;
}

/* -- commands -- */

static bool is(const char *command, const char *code)
{
    size_t length = strlen(code);
    return !strncmp(command, code, length) && (command[length] < '0' || command[length] > '9');
}

static bool is_move(const char *command)
{
    return is(command, "G0") || is(command, "G1") || is(command, "G2") || is(command, "G3");
}

#define TEMPERATURES "T:210.04 /210.00 B:60.02 /60.00 @:64 B@:31"

static void identify(double now)
{
    say(now, "FIRMWARE_NAME:Marlin 2.1.2 (bench) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0 "
             "MACHINE_TYPE:Bench EXTRUDER_COUNT:1 UUID:cede2a2f-41a2-4748-9b12-c55c62f367ff");
    say(now, "Cap:EEPROM:1");
    say(now, "Cap:AUTOREPORT_POS:0");
    say(now, "Cap:AUTOREPORT_TEMP:1");
    say(now, "Cap:PROGRESS:0");
    say(now, "Cap:SDCARD:0");
    say(now, "Cap:EMERGENCY_PARSER:0");
    say(now, "Cap:HOST_ACTION_COMMANDS:0");
}

/* Does what is at the head of the queue; false while it has to wait. */
static bool execute(double now)
{
    const char *command = queue.items[queue.first].text;
    long number = queue.items[queue.first].number;
    bool move = is_move(command);
    if (move && opt.planner && planner.count >= opt.planner) return false;
    if (is(command, "M400") && planner.count) return false;
    if (is(command, "M105")) {
        say(now, "ok " TEMPERATURES);
    } else {
        if (move) {
            count_move(now, command, queue.items[queue.first].bytes);
            if (opt.planner) plan_move(now);
        } else if (is(command, "M115")) {
            identify(now);
        } else if (is(command, "M114")) {
            say(now, "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0");
        } else if (is(command, "M155")) {
            const char *seconds = strchr(command, 'S');
            report_every = seconds ? strtod(seconds + 1, NULL) : 0;
            report_at = report_every > 0 ? now + report_every : INFINITY;
        } else if (is(command, "M20")) {
            say(now, "Begin file list");
            say(now, "End file list");
        } else if (is(command, "M27")) {
            say(now, "Not SD printing");
        }
        say_ok(now, number, move);
    }
    count.lines++;
    queue.first = (queue.first + 1) % QUEUE;
    queue.count--;
    return true;
}

/* A whole line: number and checksum are checked in Marlin's order, then it is queued. */
static void take_line(double now)
{
    char *text = line.text;
    int length = line.length, bytes = length + 1;
    long number = -1;
    line.length = 0;
    while (length && strchr(" \t\r", text[length - 1])) length--;
    text[length] = 0;
    while (*text == ' ') text++, length--;
    if (!length) return;
    const char *command = text + strcspn(text, "GM");
    if (is_move(command)) {
        if (chance(opt.drop_lines)) {
            count.lost_lines++;
            return;
        }
        if (chance(opt.corrupt_lines)) text[length / 2] ^= 1;
    }
    if (*text == 'N') {
        char *end;
        number = strtol(text + 1, &end, 10);
        while (*end == ' ') end++;
        bool sets_number = is(end, "M110");
        if (number != last_number + 1 && !sets_number) {
            refuse(now, "Line Number is not Last Line Number+1");
            return;
        }
        char *star = strrchr(text, '*');
        if (!star) {
            refuse(now, "No Checksum with line number");
            return;
        }
        unsigned char sum = 0;
        for (char *c = text; c < star; c++) sum ^= (unsigned char)*c;
        if (strtol(star + 1, NULL, 10) != sum) {
            count.bad_lines++;
            refuse(now, "checksum mismatch");
            return;
        }
        *star = 0;
        if (sets_number) {
            const char *given = strchr(end, 'N');
            if (given) number = strtol(given + 1, NULL, 10);
        }
        last_number = number;
        text = end;
    }
    int index = (queue.first + queue.count++) % QUEUE;
    for (length = strlen(text); length && text[length - 1] == ' ';) length--;
    memcpy(queue.items[index].text, text, length);
    queue.items[index].text[length] = 0;
    queue.items[index].number = number;
    queue.items[index].bytes = bytes;
}

/* The firmware's loop, until there is nothing it could do at this time. */
static void work(double now)
{
    do {
        while (received.count && queue.count < opt.queue) {
            char byte = received.bytes[received.first];
            received.first = (received.first + 1) % WIRED;
            received.count--;
            if (byte == '\n') take_line(now);
            else if (line.length < LINE - 2) line.text[line.length++] = byte;
        }
    } while (queue.count && execute(now));
}

/* -- the wire -- */

static void read_host(void)
{
    char bytes[4096];
    int room = WIRED - wired.count;
    if (!room) return;
    ssize_t got = read(port, bytes, room < (int)sizeof bytes ? room : (int)sizeof bytes);
    if (got <= 0) return;
    double now = clock_now();
    if (waiting_since >= 0 && memchr(bytes, '\n', got)) {
        if (count.moves && count.moves != opt.moves && sample_count < SAMPLES)
            samples[sample_count++] = (now - waiting_since) * 1e6;
        waiting_since = -1;
    }
    for (ssize_t n = 0; n < got; n++) {
        int index = (wired.first + wired.count++) % WIRED;
        wired.items[index].at = on_wire(&host_wire_free, now, 1);
        wired.items[index].byte = bytes[n];
    }
}

static void arrive(void)
{
    char byte = wired.items[wired.first].byte;
    wired.first = (wired.first + 1) % WIRED;
    wired.count--;
    if (received.count >= opt.rx)
        count.overflow++;
    else
        received.bytes[(received.first + received.count++) % WIRED] = byte;
}

static double next_due(void)
{
    double due = fmin(planner_due(), report_at);
    if (wired.count) due = fmin(due, wired.items[wired.first].at);
    if (replies.count) due = fmin(due, replies.items[replies.first].due);
    return due;
}

/* Everything that was due up to now, in the order of its time. */
static void catch_up(double now)
{
    double due;
    bool ok = false;
    while ((due = next_due()) <= now) {
        if (wired.count && wired.items[wired.first].at <= due) {
            while (wired.count && wired.items[wired.first].at <= due) arrive();
            work(due);
        } else if (planner_due() <= due) {
            if (planner.running) end_move(due);
            else start_moves(due);
            work(due);
        } else if (report_at <= due) {
            say(due, " " TEMPERATURES);
            report_at = due + report_every;
        } else {
            int length = replies.items[replies.first].length;
            if (output.count + length <= OUTPUT) {
                memcpy(output.bytes + output.count, replies.items[replies.first].text, length);
                output.count += length;
                ok |= replies.items[replies.first].ok;
            }
            replies.first = (replies.first + 1) % REPLIES;
            replies.count--;
        }
    }
    if (!output.count) return;
    if (ok && !wired.count && !received.count && !queue.count) waiting_since = clock_now();
    ssize_t written = write(port, output.bytes, output.count);
    if (written > 0) {
        output.count -= written;
        memmove(output.bytes, output.bytes + written, output.count);
    }
}

/* -- the process -- */

static void on_signal(int number)
{
    if (number == SIGUSR1) asked = 1;
    else ending = 1;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_port(void)
{
    struct termios raw;
    port = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (port < 0 || grantpt(port) || unlockpt(port)) fail("pseudo-terminal");
    /* It stays open, or reading would fail whenever no host has it open. */
    int slave = open(ptsname(port), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || tcgetattr(slave, &raw)) fail(ptsname(port));
    cfmakeraw(&raw);
    if (tcsetattr(slave, TCSANOW, &raw)) fail(ptsname(port));
    if (symlink(ptsname(port), opt.link)) fail(opt.link);
}

static double number_in(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || value < 0) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return value;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"link", 1, 0, 'l'},          {"baud", 1, 0, 'b'},      {"latency-ms", 1, 0, 't'}, {"rx", 1, 0, 'r'},
        {"queue", 1, 0, 'q'},         {"planner", 1, 0, 'p'},   {"move-ms", 1, 0, 'm'},    {"moves", 1, 0, 'n'},
        {"drop-lines", 1, 0, 'd'},    {"drop-oks", 1, 0, 'o'},  {"seed", 1, 0, 's'},       {"advanced-ok", 0, 0, 'a'},
        {"corrupt-lines", 1, 0, 'c'}, {"double-oks", 1, 0, 'D'}, {"mute-resends", 0, 0, 'M'}, {0, 0, 0, 0},
    };
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'l': opt.link = optarg; break;
        case 'b': opt.baud = number_in(optarg); break;
        case 't': opt.latency = number_in(optarg) / 1e3; break;
        case 'r': opt.rx = number_in(optarg); break;
        case 'q': opt.queue = number_in(optarg); break;
        case 'p': opt.planner = number_in(optarg); break;
        case 'm': opt.move = number_in(optarg) / 1e3; break;
        case 'n': opt.moves = number_in(optarg); break;
        case 'd': opt.drop_lines = number_in(optarg); break;
        case 'D': opt.double_oks = number_in(optarg); break;
        case 'M': opt.mute_resends = 1; break;
        case 'o': opt.drop_oks = number_in(optarg); break;
        case 'c': opt.corrupt_lines = number_in(optarg); break;
        case 's': opt.seed = number_in(optarg); break;
        case 'a': opt.advanced_ok = 1; break;
        default: exit(2);
        }
    }
    if (!opt.link || optind < argc || opt.rx < 1 || opt.rx > WIRED || opt.queue < 1 || opt.queue > QUEUE) {
        fprintf(stderr, "--link PATH is needed; --rx is from 1 to %d, --queue from 1 to %d\n", WIRED, QUEUE);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    opt.seed = (opt.seed + 1) * 0x9E3779B97F4A7C15u; /* A small seed would begin with small shares; 0 would stay 0. */
    if (!(samples = malloc(SAMPLES * sizeof *samples))) fail("memory");
    sigset_t blocked, open_to_all;
    sigemptyset(&blocked);
    sigemptyset(&open_to_all);
    int signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++) {
        signal(signals[n], on_signal);
        sigaddset(&blocked, signals[n]);
    }
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    open_port();
    while (!ending) {
        double late = clock_now() - next_due();
        if (late > LATE) lost_time += late;
        read_host();
        catch_up(clock_now());
        double wait = fmin(fmax(next_due() - clock_now(), 0), 1);
        struct timespec timeout = {(time_t)wait, (wait - (time_t)wait) * 1e9};
        struct pollfd ready = {port, (wired.count < WIRED ? POLLIN : 0) | (output.count ? POLLOUT : 0), 0};
        ppoll(&ready, 1, &timeout, &open_to_all);
        if (asked) {
            asked = 0;
            tell("asked");
        }
    }
    unlink(opt.link);
    tell("end");
    return 0;
}
