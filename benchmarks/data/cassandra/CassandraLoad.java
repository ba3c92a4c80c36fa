import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
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

    public static void main(String[] args) throws Exception {
        Clients.pause = Integer.parseInt(args[1]);
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

    static void measure(String name, int count, int operations, Statement statement) throws Exception {
        Random[] randoms = new Random[count];
        Arrays.setAll(randoms, Random::new);
        Clients.measure(name, count, operations, (client, number) -> statement.run(randoms[client], number));
    }

    private CassandraLoad() {
    }
}
