import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;

/**
 * A server for crowds, one thread: it sends back what it gets. A first byte of 'M' is answered by the free memory, of 'S'
 * by bytes without end (until the peer stops to read), of 'C' by the end of the connection, of 'Q' by the end of all.
 */
public class Crowd {
    public static void main(String[] args) throws Exception {
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(8080), 1024);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        System.out.println("ready");
        ByteBuffer buffer = ByteBuffer.allocateDirect(64 << 10);
        long blocked = 0;
        boolean goesOn = true;
        while (goesOn) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    for (SocketChannel one; (one = listener.accept()) != null; ) {
                        one.configureBlocking(false);
                        one.register(selector, SelectionKey.OP_READ);
                    }
                    continue;
                }
                SocketChannel channel = (SocketChannel) key.channel();
                buffer.clear();
                try {
                    if (channel.read(buffer) < 0) {
                        channel.close();
                        continue;
                    }
                    buffer.flip();
                    byte first = buffer.hasRemaining() ? buffer.get(0) : 0;
                    if (first == 'M') {
                        buffer = ByteBuffer.wrap(free().getBytes(StandardCharsets.US_ASCII));
                    } else if (first == 'S') {
                        // Backpressure: a write that takes nothing, however often the buffer is filled.
                        for (int n = 0; n < 10_000; n++) {
                            ByteBuffer much = ByteBuffer.allocate(16 << 10);
                            if (channel.write(much) < much.capacity()) {
                                blocked++;
                                break;
                            }
                        }
                        continue;
                    }
                    channel.write(buffer);
                    if (first == 'C' || first == 'Q') {
                        channel.close();
                        goesOn = first != 'Q';
                    }
                } catch (java.io.IOException reset) {
                    channel.close();
                } finally {
                    if (!buffer.isDirect()) {
                        buffer = ByteBuffer.allocateDirect(64 << 10);
                    }
                }
            }
            selector.selectedKeys().clear();
        }
        // The last answer leaves before the machine does.
        Thread.sleep(1000);
        System.out.println("writers that had to wait: " + (blocked > 0 ? "some" : "none"));
    }

    static String free() throws Exception {
        System.gc();
        for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
            if (line.startsWith("MemAvailable:")) {
                return "M" + line.replaceAll("[^0-9]", "") + ".";
            }
        }
        return "M0.";
    }
}
