import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;

/**
 * One thread, one selector. GET / answers "ok"; GET /BYTES answers so many bytes; POST / with Content-Length reads them all and
 * answers "ok". Requests come one after the other on a connection, each in one piece.
 */
public class NioServer {
    static final int BLOCK = 256 << 10;

    /** What is left of the request that is under way. */
    static class Connection {
        final ByteBuffer in = ByteBuffer.allocateDirect(4096);
        long toRead;
        long toWrite;
        ByteBuffer out;
    }

    static final ByteBuffer OK = direct("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    static final ByteBuffer BODY = ByteBuffer.allocateDirect(BLOCK);
    static final ByteBuffer SINK = ByteBuffer.allocateDirect(BLOCK);

    static ByteBuffer direct(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    public static void main(String[] args) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open().bind(new InetSocketAddress(8080), 4096);
        listener.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
        System.out.println("ready");
        while (true) {
            selector.select();
            for (Iterator<SelectionKey> keys = selector.selectedKeys().iterator(); keys.hasNext();) {
                SelectionKey key = keys.next();
                keys.remove();
                if (key.isAcceptable()) {
                    accept(selector, listener);
                    continue;
                }
                try {
                    serve(key, (SocketChannel) key.channel(), (Connection) key.attachment());
                } catch (IOException e) {
                    key.channel().close();
                }
            }
        }
    }

    static void accept(Selector selector, ServerSocketChannel listener) throws IOException {
        for (SocketChannel channel; (channel = listener.accept()) != null;) {
            channel.setOption(java.net.StandardSocketOptions.TCP_NODELAY, true);
            channel.configureBlocking(false).register(selector, SelectionKey.OP_READ, new Connection());
        }
    }

    static void serve(SelectionKey key, SocketChannel channel, Connection connection) throws IOException {
        if (connection.toRead > 0) {
            SINK.clear();
            int count = channel.read(SINK);
            if (count < 0) throw new IOException("end within a request");
            connection.toRead -= count;
            if (connection.toRead == 0) channel.write(OK.duplicate());
            return;
        }
        if (connection.out == null) {
            ByteBuffer in = connection.in;
            int count = channel.read(in);
            if (count < 0) {
                channel.close();
                return;
            }
            int end = end(in);
            if (end < 0) return;
            if (in.get(0) == 'G' && in.get(5) == ' ') {
                in.clear();
                channel.write(OK.duplicate());
                return;
            }
            byte[] bytes = new byte[in.flip().remaining()];
            in.get(bytes).clear();
            String head = new String(bytes, 0, end, StandardCharsets.ISO_8859_1);
            if (head.startsWith("POST")) {
                int at = head.toLowerCase().indexOf("content-length:");
                connection.toRead = Long.parseLong(head.substring(at + 15).split("\r\n")[0].trim()) - (bytes.length - end);
                if (connection.toRead == 0) channel.write(OK.duplicate());
                return;
            }
            connection.toWrite = Long.parseLong(head.split(" ")[1].substring(1));
            connection.out = direct("HTTP/1.1 200 OK\r\nContent-Length: " + connection.toWrite + "\r\n\r\n");
        }
        while (true) {
            channel.write(connection.out);
            if (connection.out.hasRemaining()) {
                key.interestOps(SelectionKey.OP_WRITE);
                return;
            }
            if (connection.toWrite == 0) break;
            int now = (int) Math.min(connection.toWrite, BLOCK);
            connection.out = BODY.duplicate().limit(now);
            connection.toWrite -= now;
        }
        connection.out = null;
        key.interestOps(SelectionKey.OP_READ);
    }

    /** Behind the empty line; -1 if it has not come. */
    static int end(ByteBuffer in) {
        for (int at = 4; at <= in.position(); at++) {
            if (in.get(at - 1) == '\n' && in.get(at - 2) == '\r' && in.get(at - 3) == '\n') return at;
        }
        return -1;
    }
}
