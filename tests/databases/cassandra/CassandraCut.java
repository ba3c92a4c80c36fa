import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.cql3.UntypedResultSet;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.schema.Schema;
import org.apache.cassandra.service.CassandraDaemon;

/**
 * A node of Cassandra with commitlog_sync batch, and what talks to it, in one VM: its acknowledged writes must survive a power cut.
 * load DIRECTORY COUNT: "ack N" when row N is safe.
 * check DIRECTORY: prints "DIRECTORY ROWS LAST": rows that are whole, of which none before the last may be missing.
 */
public final class CassandraCut {
    private CassandraCut() {
    }

    private static String text(int id) {
        return ("row " + id + " ").repeat(1 + id * 31 % 40);
    }

    private static UntypedResultSet execute(String statement) {
        // As a driver's request: by way of the coordinator, which answers when the commit log is on the disk.
        return QueryProcessor.process(statement, ConsistencyLevel.ONE);
    }

    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[1]);
        boolean isThere = Files.isDirectory(directory.resolve("sstables"));
        if (args[0].equals("check") && !isThere) {
            System.out.println(directory + " 0 0");
            return;
        }
        new CassandraDaemon().activate();
        if (args[0].equals("load")) {
            load(Integer.parseInt(args[2]));
        } else {
            check(directory);
        }
        System.exit(0);
    }

    private static void load(int count) {
        execute("CREATE KEYSPACE cut WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
        execute("CREATE TABLE cut.entry (id int PRIMARY KEY, text text)");
        for (int id = 1; id <= count; id++) {
            execute("INSERT INTO cut.entry (id, text) VALUES (" + id + ", '" + text(id) + "')");
            System.out.println("ack " + id);
        }
    }

    private static void check(Path directory) {
        int rows = 0;
        int last = 0;
        if (Schema.instance.getTableMetadata("cut", "entry") != null) {
            for (UntypedResultSet.Row row : execute("SELECT id, text FROM cut.entry")) {
                int id = row.getInt("id");
                if (!row.getString("text").equals(text(id))) {
                    throw new IllegalStateException(directory + ": row " + id + " is " + row.getString("text"));
                }
                rows++;
                last = Math.max(last, id);
            }
        }
        System.out.println(directory + " " + rows + " " + last);
    }
}
