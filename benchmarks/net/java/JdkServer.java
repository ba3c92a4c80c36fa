import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** The JDK's HttpServer with a thread for the requests beside its own. */
public class JdkServer {
    public static void main(String[] args) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 4096);
        server.setExecutor(Executors.newFixedThreadPool(1));
        byte[] ok = { 'o', 'k' };
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, ok.length);
            exchange.getResponseBody().write(ok);
            exchange.close();
        });
        server.start();
        System.out.println("ready");
    }
}
