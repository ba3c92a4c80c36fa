import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.h2.store.fs.FileBaseDefault;
import org.h2.store.fs.FilePath;
import org.h2.store.fs.FilePathWrapper;

/**
 * Shows, on any system and without a power cut, that H2's "checkpoint sync" can answer before the transaction is written:
 * when the background writer (MVStore.tryCommit, every WRITE_DELAY ms) has handed a chunk to its own thread, a commit
 * finds nothing to write and syncs a file without it. Writes take 5 ms here, and after each answer the file is looked at.
 * EarlyAnswer COUNT WRITE_DELAY: by hand, with 20 it counts a few of 600, with 0 (no background writer) none.
 */
public final class EarlyAnswer {
    private EarlyAnswer() {
    }

    /** H2's files with slow writes. */
    public static final class Slow extends FilePathWrapper {
        @Override
        public String getScheme() {
            return "slow";
        }

        @Override
        public FileChannel open(String mode) throws IOException {
            return new SlowChannel(getBase().open(mode));
        }
    }

    private static final class SlowChannel extends FileBaseDefault {
        private final FileChannel base;

        SlowChannel(FileChannel base) {
            this.base = base;
        }

        @Override
        public int write(ByteBuffer from, long position) throws IOException {
            pause(5);
            return base.write(from, position);
        }

        @Override
        public int read(ByteBuffer to, long position) throws IOException {
            return base.read(to, position);
        }

        @Override
        public long size() throws IOException {
            return base.size();
        }

        @Override
        protected void implTruncate(long size) throws IOException {
            base.truncate(size);
        }

        @Override
        public void force(boolean metadata) throws IOException {
            base.force(metadata);
        }

        @Override
        public FileLock tryLock(long position, long size, boolean shared) throws IOException {
            return base.tryLock(position, size, shared);
        }

        @Override
        protected void implCloseChannel() throws IOException {
            base.close();
        }
    }

    private static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    public static void main(String[] args) throws Exception {
        FilePath.register(new Slow());
        Path directory = Files.createTempDirectory("early");
        int count = Integer.parseInt(args[0]);
        int early = 0;
        String url = "jdbc:h2:slow:" + directory.resolve("h2") + ";WRITE_DELAY=" + args[1];
        try (Connection connection = DriverManager.getConnection(url); Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.execute("create table entry (id int primary key)");
            connection.commit();
            PreparedStatement insert = connection.prepareStatement("insert into entry values (?)");
            for (int id = 1; id <= count; id++) {
                // Now and then the background writer's moment falls between commit and sync.
                pause(20 + id * 7L % 12);
                insert.setInt(1, id);
                insert.executeUpdate();
                connection.commit();
                statement.execute("checkpoint sync");
                // All that this sync, or one before it, can have made safe.
                Path copy = directory.resolve("copy.mv.db");
                Files.copy(directory.resolve("h2.mv.db"), copy, StandardCopyOption.REPLACE_EXISTING);
                int found = rows(directory.resolve("copy"));
                if (found < id) {
                    early++;
                    System.out.println("\"checkpoint sync\" has answered for row " + id + ", the file has " + found);
                }
            }
        }
        System.out.println(early + " of " + count + " answers came before the write");
    }

    private static int rows(Path database) throws SQLException {
        try (Connection connection = DriverManager.getConnection("jdbc:h2:file:" + database);
                Statement statement = connection.createStatement();
                ResultSet found = statement.executeQuery("select count(*) from entry")) {
            found.next();
            return found.getInt(1);
        }
    }
}
