import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A server with a virtual thread a connection, and as many clients at once, each in one too: every connection is open before the
 * first is served. VirtualServer CONNECTIONS. By reflection: the compiler knows Java 17.
 */
public class VirtualServer {
    static final int ROUNDS = 10;

    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[0]);
        ExecutorService each = (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        AtomicInteger served = new AtomicInteger(), right = new AtomicInteger();
        CountDownLatch open = new CountDownLatch(count), done = new CountDownLatch(2 * count);
        ServerSocket listener = new ServerSocket(0, count, InetAddress.getLoopbackAddress());
        each.submit(() -> {
            for (int i = 0; i < count; i++) {
                Socket socket = listener.accept();
                each.submit(() -> {
                    try (socket) {
                        byte[] block = new byte[1000];
                        for (int n; (n = socket.getInputStream().read(block)) > 0;) {
                            socket.getOutputStream().write(block, 0, n);
                        }
                        served.incrementAndGet();
                    }
                    done.countDown();
                    return null;
                });
            }
            return null;
        });
        for (int i = 0; i < count; i++) {
            byte seed = (byte) i;
            each.submit(() -> {
                try (Socket socket = new Socket(listener.getInetAddress(), listener.getLocalPort())) {
                    open.countDown();
                    open.await();
                    boolean all = true;
                    for (int round = 0; round < ROUNDS; round++) {
                        byte[] sent = new byte[1000];
                        java.util.Arrays.fill(sent, (byte) (seed + round));
                        socket.getOutputStream().write(sent);
                        all &= java.util.Arrays.equals(sent, socket.getInputStream().readNBytes(sent.length));
                    }
                    if (all) right.incrementAndGet();
                }
                done.countDown();
                return null;
            });
        }
        done.await();
        System.out.println(served + " served, " + right + " answers right");
    }
}
