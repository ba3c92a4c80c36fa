import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.File;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * TLS 1.3 as a server and as a client, each knowing the other by its certificate, a megabyte each way; then HTTPS between the JDK's
 * own server and client. TlsBoth KEYSTORE (its password "changeit", its certificate of "localhost").
 */
public class TlsBoth {
    static final int BYTES = 1 << 20;

    static byte[] pattern(int seed) {
        byte[] bytes = new byte[BYTES];
        for (int i = 0; i < BYTES; i++) bytes[i] = (byte) (i * 31 + seed);
        return bytes;
    }

    static void send(SSLSocket socket, int seed) throws Exception {
        OutputStream out = socket.getOutputStream();
        out.write(pattern(seed));
        out.flush();
    }

    static boolean receive(SSLSocket socket, int seed) throws Exception {
        InputStream in = socket.getInputStream();
        return Arrays.equals(in.readNBytes(BYTES), pattern(seed));
    }

    public static void main(String[] args) throws Exception {
        char[] password = "changeit".toCharArray();
        KeyStore keys = KeyStore.getInstance(new File(args[0]), password);
        KeyManagerFactory own = KeyManagerFactory.getInstance("PKIX");
        own.init(keys, password);
        TrustManagerFactory others = TrustManagerFactory.getInstance("PKIX");
        others.init(keys);
        SSLContext context = SSLContext.getInstance("TLSv1.3");
        context.init(own.getKeyManagers(), others.getTrustManagers(), null);

        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory()
                .createServerSocket(0, 5, InetAddress.getLoopbackAddress());
        listener.setNeedClientAuth(true);
        var server = CompletableFuture.supplyAsync(() -> {
            try (SSLSocket socket = (SSLSocket) listener.accept()) {
                boolean right = receive(socket, 1);
                send(socket, 2);
                return right + " from " + socket.getSession().getPeerPrincipal();
            } catch (Exception e) {
                return e.toString();
            }
        });
        try (SSLSocket socket = (SSLSocket) context.getSocketFactory()
                .createSocket(listener.getInetAddress(), listener.getLocalPort())) {
            send(socket, 1);
            System.out.println("client: " + socket.getSession().getProtocol() + " " + socket.getSession().getCipherSuite()
                    + " " + receive(socket, 2) + " from " + socket.getSession().getPeerPrincipal());
        }
        System.out.println("server: " + server.get());

        HttpsServer https = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        https.setHttpsConfigurator(new HttpsConfigurator(context));
        https.createContext("/", exchange -> {
            byte[] body = exchange.getRequestBody().readAllBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        https.start();
        HttpClient client = HttpClient.newBuilder().sslContext(context).build();
        URI uri = URI.create("https://localhost:" + https.getAddress().getPort() + "/");
        for (int i = 0; i < 3; i++) {
            var request = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(pattern(i))).build();
            var response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
            System.out.println("https " + response.statusCode() + " " + Arrays.equals(response.body(), pattern(i)) + " "
                    + response.sslSession().map(session -> session.getProtocol()).orElse("no TLS"));
        }
        https.stop(0);
        System.exit(0);
    }
}
