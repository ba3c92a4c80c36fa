import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.zip.CRC32;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.server.NIOServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/** ZooKeeper: a server with its log and snapshots on the volume, and a client of it over the loopback interface. */
final class Keeper {
    private static final int NODES = 400;

    private Keeper() {
    }

    private interface Act {
        void with(ZooKeeper client) throws Exception;
    }

    private static void run(Path directory, Act act) throws Exception {
        Files.createDirectories(directory.resolve("zookeeper"));
        ZooKeeperServer server = new ZooKeeperServer(directory.resolve("zookeeper").toFile(),
                directory.resolve("zookeeper").toFile(), 2000);
        NIOServerCnxnFactory factory = (NIOServerCnxnFactory) NIOServerCnxnFactory.createFactory(2181, 10);
        factory.startup(server);
        CountDownLatch connected = new CountDownLatch(1);
        try (ZooKeeper client = new ZooKeeper("127.0.0.1:2181", 60_000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        })) {
            connected.await();
            act.with(client);
        }
        factory.shutdown();
    }

    static void write(Path directory) throws Exception {
        run(directory, client -> {
            client.create("/load", new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            for (int i = 0; i < NODES; i++) {
                client.create("/load/n" + i, ("value " + i).getBytes(), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            }
            for (int i = 0; i < NODES; i += 4) {
                client.setData("/load/n" + i, ("changed " + i).getBytes(), 0);
            }
            client.multi(List.of(Op.delete("/load/n1", -1), Op.delete("/load/n2", -1)));
            client.create("/load/gone", new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            System.out.println(client.getChildren("/load", false).size() + " nodes");
        });
    }

    static void check(Path directory) throws Exception {
        run(directory, client -> {
            TreeMap<String, String> found = new TreeMap<>();
            for (String name : client.getChildren("/load", false)) {
                // The session of the first boot may not have timed out yet.
                if (!name.equals("gone")) {
                    found.put(name, new String(client.getData("/load/" + name, false, null)));
                }
            }
            CRC32 sum = new CRC32();
            sum.update(found.toString().getBytes());
            System.out.printf("%d nodes, sum %08x, n8 is %s%n", found.size(), sum.getValue(), found.get("n8"));
        });
    }
}
