import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * H2 within this VM, its file on a volume: {@code H2Load DIRECTORY [PAUSE_MS [TIMES]]}; so many TIMES the operations. Each case is
 * one kind of statement, each its own transaction, by 1 or 64 clients, a thread and a connection each. Prints as FileLoad does, {@code data end NAME OPERATIONS
 * NANOSECONDS P99} with the 99th percentile of a statement's time in nanoseconds.
 */
public final class H2Load {
    /** Rows that are there before the first case. */
    static final int ROWS = 2000;

    interface Statement {
        void run(Client client, int number) throws SQLException;
    }

    /** A connection with its statements. */
    static final class Client implements AutoCloseable {
        final Connection connection;
        final PreparedStatement insert;
        final PreparedStatement select;
        final Random random;

        Client(String url, int seed) throws SQLException {
            connection = DriverManager.getConnection(url);
            insert = connection.prepareStatement("insert into entry values (?, ?)");
            select = connection.prepareStatement("select text from entry where id = ?");
            random = new Random(seed);
        }

        void insert(int number) throws SQLException {
            insert.setInt(1, NEXT.getAndIncrement());
            insert.setString(2, "text " + number * 31L + " ".repeat(100));
            insert.executeUpdate();
        }

        void read(int number) throws SQLException {
            select.setInt(1, random.nextInt(ROWS));
            try (ResultSet found = select.executeQuery()) {
                if (!found.next()) {
                    throw new IllegalStateException("a row is missing");
                }
                sum.addAndGet(found.getString(1).length() + number);
            }
        }

        void mixed(int number) throws SQLException {
            if (number % 2 == 0) {
                read(number);
            } else {
                insert(number);
            }
        }

        @Override
        public void close() throws SQLException {
            connection.close();
        }
    }

    static final AtomicInteger NEXT = new AtomicInteger();
    static final AtomicLong sum = new AtomicLong();
    static String url;
    static int times;

    public static void main(String[] args) throws Exception {
        url = "jdbc:h2:file:" + Path.of(args[0]).resolve("h2");
        Clients.pause = args.length > 1 ? Integer.parseInt(args[1]) : 0;
        times = args.length > 2 ? Integer.parseInt(args[2]) : 1;
        try (Client first = new Client(prepared(), 1)) {
            for (int row = 0; row < ROWS; row++) {
                first.insert(row);
            }
            measure("rehearsal", 1, 1, Client::read);
            for (int clients : new int[] {1, 64}) {
                measure("h2_insert_" + clients, clients, 3200, Client::insert);
                measure("h2_read_" + clients, clients, 6400, Client::read);
                measure("h2_mixed_" + clients, clients, 6400, Client::mixed);
            }
        }
        System.out.println("data all " + (sum.get() != 0));
    }

    /** The URL of the database, which has its table. */
    static String prepared() throws SQLException {
        try (Connection connection = DriverManager.getConnection(url); var statement = connection.createStatement()) {
            statement.execute("create table entry (id int primary key, text varchar(200) not null)");
        }
        return url;
    }

    static void measure(String name, int count, int operations, Statement statement) throws Exception {
        Client[] clients = new Client[count];
        for (int at = 0; at < count; at++) {
            clients[at] = new Client(url, at);
        }
        Clients.measure(name, count, operations * times, (client, number) -> statement.run(clients[client], number));
        for (Client client : clients) {
            client.close();
        }
    }

    private H2Load() {
    }
}
