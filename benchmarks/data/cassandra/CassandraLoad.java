import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.cql3.UntypedResultSet;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.service.CassandraDaemon;

/**
 * A node of Cassandra with commitlog_sync batch, and its clients within the same VM: {@code CassandraLoad DIRECTORY PAUSE_MS}. Statements take the
 * coordinator's way, as a driver's do behind its connection. Prints {@code data serving} when CQL is accepted, then as H2Load does.
 */
public final class CassandraLoad {
    /** Rows that are there before the first case. */
    static final int ROWS = 500;

    interface Statement {
        void run(Random random, int number);
    }

    static final AtomicInteger NEXT = new AtomicInteger();
    static int pause;

    public static void main(String[] args) throws Exception {
        pause = Integer.parseInt(args[1]);
        new CassandraDaemon().activate();
        System.out.println("data serving");
        execute("CREATE KEYSPACE load WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
        execute("CREATE TABLE load.entry (id int PRIMARY KEY, text text)");
        for (int row = 0; row < ROWS; row++) {
            insert(null, row);
        }
        measure("rehearsal", 1, 1, CassandraLoad::read);
        for (int clients : new int[] {1, 64}) {
            measure("cassandra_insert_" + clients, clients, 1600, CassandraLoad::insert);
            measure("cassandra_read_" + clients, clients, 1600, CassandraLoad::read);
            measure("cassandra_mixed_" + clients, clients, 1600, CassandraLoad::mixed);
        }
        System.out.println("data all true");
        System.exit(0);
    }

    static UntypedResultSet execute(String statement, Object... values) {
        return QueryProcessor.execute(statement, ConsistencyLevel.ONE, values);
    }

    static void insert(Random random, int number) {
        execute("INSERT INTO load.entry (id, text) VALUES (?, ?)", NEXT.getAndIncrement(), "text " + number * 31L + " ".repeat(100));
    }

    static void read(Random random, int number) {
        if (execute("SELECT text FROM load.entry WHERE id = ?", random.nextInt(ROWS)).isEmpty()) {
            throw new IllegalStateException("a row is missing");
        }
    }

    static void mixed(Random random, int number) {
        if (number % 2 == 0) {
            read(random, number);
        } else {
            insert(random, number);
        }
    }

    static void measure(String name, int clients, int operations, Statement statement) throws Exception {
        // A quarter of it before: what the compiler does is not the operation's.
        run(clients, operations / 4, statement);
        Thread.sleep(4L * pause);
        System.out.println("data begin " + name);
        Thread.sleep(pause);
        long start = System.nanoTime();
        long[] times = run(clients, operations, statement);
        long time = System.nanoTime() - start;
        Arrays.sort(times);
        System.out.println("data end " + name + " " + operations + " " + time + " " + times[(int) (times.length * 0.99)]);
        Thread.sleep(pause);
    }

    /** So many operations by all clients together; the time of each. */
    static long[] run(int clients, int operations, Statement statement) throws InterruptedException {
        long[] times = new long[operations];
        AtomicInteger next = new AtomicInteger();
        AtomicReference<RuntimeException> failed = new AtomicReference<>();
        Thread[] threads = new Thread[clients];
        for (int at = 0; at < clients; at++) {
            Random random = new Random(at);
            threads[at] = new Thread(() -> {
                try {
                    for (int number = next.getAndIncrement(); number < operations; number = next.getAndIncrement()) {
                        long start = System.nanoTime();
                        statement.run(random, number);
                        times[number] = System.nanoTime() - start;
                    }
                } catch (RuntimeException error) {
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

    private CassandraLoad() {
    }
}
