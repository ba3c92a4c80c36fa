import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.cql3.UntypedResultSet;
import org.apache.cassandra.db.ConsistencyLevel;
import org.apache.cassandra.schema.Schema;
import org.apache.cassandra.service.CassandraDaemon;

/**
 * A node of Cassandra with commitlog_sync batch, and what talks to it, in one VM: its acknowledged writes must survive a power cut.
 * load DIRECTORY COUNT: "ack N" when row N is safe.
 * check DIRECTORY: prints "DIRECTORY ROWS LAST": rows that are whole, of which none before the last may be missing.
 * contents DIRECTORY ...: without a node: "FILES BYTES CRC" of all files in each, their names included in the sum.
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
        if (args[0].equals("contents")) {
            for (int i = 1; i < args.length; i++) {
                contents(Path.of(args[i]));
            }
            return;
        }
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

    private static void contents(Path directory) throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.walk(directory)) {
            files = all.filter(Files::isRegularFile).sorted().toList();
        }
        CRC32 sum = new CRC32();
        long bytes = 0;
        for (Path file : files) {
            sum.update(directory.relativize(file).toString().getBytes(StandardCharsets.UTF_8));
            byte[] content = Files.readAllBytes(file);
            sum.update(content);
            bytes += content.length;
        }
        System.out.println(files.size() + " " + bytes + " " + sum.getValue());
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
