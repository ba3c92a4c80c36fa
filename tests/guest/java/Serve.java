import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;

/** An HTTP server that answers so many requests, each with as many bytes as its path says, and ends. */
public class Serve {
    public static void main(String[] args) throws Exception {
        int requests = Integer.parseInt(args[0]);
        CountDownLatch left = new CountDownLatch(requests);
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            byte[] answer = new byte[Integer.parseInt(exchange.getRequestURI().getPath().substring(1))];
            java.util.Arrays.fill(answer, (byte) 'x');
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
            left.countDown();
        });
        server.start();
        System.out.println("ready");
        left.await();
        // The last answer leaves before the machine does.
        server.stop(1);
        System.out.println(requests + " answered");
    }
}
