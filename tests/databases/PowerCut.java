import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * A load whose acknowledged transactions must survive a power cut.
 * h2|derby load DIRECTORY COUNT: "ack N" when transaction N is safe.
 * h2|derby check DIRECTORY...: prints "DIRECTORY TRANSACTIONS LAST": rows that are whole, and the number that each of the
 * transactions has also put into a second table.
 */
public final class PowerCut {
    private PowerCut() {
    }

    private static String text(int id) {
        return ("row " + id + " ").repeat(1 + id * 31 % 40);
    }

    public static void main(String[] args) throws Exception {
        boolean isH2 = args[0].equals("h2");
        // Else in the working directory, which need not be writable.
        System.setProperty("derby.stream.error.file", "/tmp/derby.log");
        if (args[1].equals("load")) {
            load(isH2, Path.of(args[2]), Integer.parseInt(args[3]));
        } else {
            for (int i = 2; i < args.length; i++) {
                check(isH2, Path.of(args[i]));
            }
        }
    }

    /** H2 without its background writer: beside that one "checkpoint sync" answers too early, as EarlyAnswer shows. */
    private static Connection open(boolean isH2, Path directory) throws SQLException {
        return DriverManager.getConnection(isH2 ? Jdbc.url("h2", directory) + ";WRITE_DELAY=0" : Jdbc.url("derby", directory));
    }

    private static void load(boolean isH2, Path directory, int count) throws SQLException {
        try (Connection connection = open(isH2, directory); Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.execute("create table entry (id int primary key, text varchar(2000) not null)");
            statement.execute("create table newest (only_row int primary key, id int not null)");
            statement.execute("insert into newest values (1, 0)");
            connection.commit();
            PreparedStatement insert = connection.prepareStatement("insert into entry values (?, ?)");
            PreparedStatement update = connection.prepareStatement("update newest set id = ? where only_row = 1");
            for (int id = 1; id <= count; id++) {
                insert.setInt(1, id);
                insert.setString(2, text(id));
                insert.executeUpdate();
                update.setInt(1, id);
                update.executeUpdate();
                connection.commit();
                if (isH2) {
                    // H2 answers a commit before its file is safe: this is its way to wait for that.
                    statement.execute("checkpoint sync");
                }
                System.out.println("ack " + id);
            }
        }
    }

    private static void check(boolean isH2, Path directory) throws SQLException {
        if (!Files.exists(directory.resolve(isH2 ? "h2.mv.db" : "derby"))) {
            System.out.println(directory + " 0 0");
            return;
        }
        int rows = 0;
        int last = 0;
        try (Connection connection = open(isH2, directory); Statement statement = connection.createStatement()) {
            try (ResultSet found = statement.executeQuery("select id, text from entry order by id")) {
                for (; found.next(); rows++) {
                    if (found.getInt(1) != rows + 1 || !found.getString(2).equals(text(rows + 1))) {
                        throw new IllegalStateException(directory + ": row " + (rows + 1) + " is " + found.getInt(1));
                    }
                }
            }
            try (ResultSet found = statement.executeQuery("select id from newest")) {
                if (found.next()) {
                    last = found.getInt(1);
                }
            }
        } catch (SQLException error) {
            // 42S02 and 42X05: the cut came before the tables were there.
            if (!error.getSQLState().equals("42S02") && !error.getSQLState().equals("42S04")
                    && !error.getSQLState().equals("42X05")) {
                throw error;
            }
        }
        System.out.println(directory + " " + rows + " " + last);
    }
}
