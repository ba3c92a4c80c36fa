import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.zip.CRC32;

/** H2 and Derby: a table with an index, rows changed and deleted, one transaction taken back; both behind JDBC. */
final class Jdbc {
    private static final int ROWS = 3000;
    private static final int BATCH = 250;

    private Jdbc() {
    }

    /** The URL of the database named "h2" or "derby" below a directory. */
    static String url(String kind, Path directory) {
        return kind.equals("h2") ? "jdbc:h2:file:" + directory.resolve("h2")
                : "jdbc:derby:" + directory.resolve("derby") + ";create=true";
    }

    static void write(String kind, Path directory) throws SQLException {
        try (Connection connection = DriverManager.getConnection(url(kind, directory));
                Statement statement = connection.createStatement()) {
            statement.execute("create table item (id int primary key, name varchar(40) not null, amount bigint not null)");
            statement.execute("create index by_name on item (name)");
            connection.setAutoCommit(false);
            try (PreparedStatement insert = connection.prepareStatement("insert into item values (?, ?, ?)")) {
                for (int id = 0; id < ROWS; id++) {
                    insert.setInt(1, id);
                    insert.setString(2, "name-" + (id * 7919L % ROWS));
                    insert.setLong(3, id * 1_000_003L);
                    insert.addBatch();
                    if (id % BATCH == BATCH - 1) {
                        insert.executeBatch();
                        connection.commit();
                    }
                }
            }
            System.out.println("changed " + statement.executeUpdate("update item set amount = -amount where mod(id, 3) = 0"));
            System.out.println("deleted " + statement.executeUpdate("delete from item where mod(id, 10) = 9"));
            connection.commit();
            statement.executeUpdate("delete from item");
            connection.rollback();
            connection.commit();
        }
        shutDown(kind, directory);
    }

    static void check(String kind, Path directory) throws SQLException {
        try (Connection connection = DriverManager.getConnection(url(kind, directory));
                Statement statement = connection.createStatement()) {
            CRC32 sum = new CRC32();
            int rows = 0;
            try (ResultSet found = statement.executeQuery("select id, name, amount from item order by id")) {
                for (; found.next(); rows++) {
                    sum.update((found.getInt(1) + " " + found.getString(2) + " " + found.getLong(3) + "\n").getBytes());
                }
            }
            System.out.printf("%d rows, sum %08x%n", rows, sum.getValue());
            try (ResultSet found = statement.executeQuery("select id, amount from item where name = 'name-1234'")) {
                while (found.next()) {
                    System.out.println("name-1234 is " + found.getInt(1) + " " + found.getLong(2));
                }
            }
        }
        shutDown(kind, directory);
    }

    /** Derby must be told; it answers with an exception. */
    private static void shutDown(String kind, Path directory) throws SQLException {
        if (kind.equals("derby")) {
            try {
                DriverManager.getConnection("jdbc:derby:" + directory.resolve("derby") + ";shutdown=true").close();
            } catch (SQLException answer) {
                if (!answer.getSQLState().equals("08006")) {
                    throw answer;
                }
            }
        }
    }
}
