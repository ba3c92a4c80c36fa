import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

/** Runs one kind of operation by several clients, a thread each, and prints what FileLoad does and the 99th percentile. */
final class Clients {
    /** An operation: of which client, from 0, and which of all, from 0. */
    interface Operation {
        void run(int client, int number) throws Exception;
    }

    /** Milliseconds in which the host reads the counter, before and after a case. */
    static int pause;

    /** Measures a case: {@code data end NAME OPERATIONS NANOSECONDS P99}, the 99th percentile in nanoseconds. */
    static void measure(String name, int clients, int operations, Operation operation) throws Exception {
        // A quarter of it before: what the compiler does is not the operation's.
        run(clients, operations / 4, operation);
        Thread.sleep(4L * pause);
        System.out.println("data begin " + name);
        Thread.sleep(pause);
        long start = System.nanoTime();
        long[] times = run(clients, operations, operation);
        long time = System.nanoTime() - start;
        Arrays.sort(times);
        System.out.println("data end " + name + " " + operations + " " + time + " " + times[(int) (times.length * 0.99)]);
        Thread.sleep(pause);
    }

    /** So many operations by all clients together; the time of each. */
    private static long[] run(int clients, int operations, Operation operation) throws InterruptedException {
        long[] times = new long[operations];
        AtomicInteger next = new AtomicInteger();
        AtomicReference<Exception> failed = new AtomicReference<>();
        Thread[] threads = new Thread[clients];
        for (int at = 0; at < clients; at++) {
            int client = at;
            threads[at] = new Thread(() -> {
                try {
                    for (int number = next.getAndIncrement(); number < operations; number = next.getAndIncrement()) {
                        long start = System.nanoTime();
                        operation.run(client, number);
                        times[number] = System.nanoTime() - start;
                    }
                } catch (Exception error) {
                    failed.set(error);
                }
            });
            threads[at].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        if (failed.get() != null) {
            throw new IllegalStateException("a client failed", failed.get());
        }
        return times;
    }

    private Clients() {
    }
}
