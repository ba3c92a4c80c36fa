import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.websocket.OnMessage;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpoint;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.security.KeyStore;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.IntStream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.coyote.http2.Http2Protocol;
import org.apache.tomcat.util.net.SSLHostConfig;
import org.apache.tomcat.util.net.SSLHostConfigCertificate;
import org.apache.tomcat.websocket.server.WsSci;

/**
 * Tomcat and the JDK's client over HTTP/2 in the clear (an upgrade), HTTP/2 over TLS (ALPN) and WebSocket.
 * Protocols KEYSTORE (its password "changeit", its certificate of "localhost").
 */
public class Protocols {
    static final int LARGE = 300_000;
    /** Held, so that its level stays: warnings tell of times, which no two runs have in common. */
    static final Logger LOGGER = Logger.getLogger("org.apache");

    /** Answers with the body it was sent. */
    static class Echo extends HttpServlet {
        @Override
        protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
            response.setHeader("x-protocol", request.getProtocol());
            request.getInputStream().transferTo(response.getOutputStream());
        }
    }

    @ServerEndpoint("/socket")
    public static class Socket {
        @OnMessage
        public String text(String message) {
            return "echo of " + message;
        }

        @OnMessage(maxMessageSize = 1 << 20)
        public ByteBuffer bytes(ByteBuffer message) {
            return message;
        }
    }

    static byte[] pattern(int seed, int count) {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) bytes[i] = (byte) (i * 31 + seed);
        return bytes;
    }

    static String exchange(HttpClient client, URI uri, int seed, int count) throws Exception {
        byte[] body = pattern(seed, count);
        var request = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        var response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        return response.version() + " " + response.statusCode() + " " + response.headers().firstValue("x-protocol").orElse("")
                + " " + Arrays.equals(response.body(), body);
    }

    /** Requests that share one connection. */
    static long together(HttpClient client, URI uri, int requests) {
        var all = IntStream.range(0, requests).mapToObj(i -> {
            byte[] body = pattern(i, 5000 + i);
            var request = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
            return client.sendAsync(request, HttpResponse.BodyHandlers.ofByteArray())
                    .thenApply(response -> response.version() == HttpClient.Version.HTTP_2
                            && Arrays.equals(response.body(), body));
        }).toList();
        return all.stream().filter(CompletableFuture::join).count();
    }

    static class Listener implements WebSocket.Listener {
        final CompletableFuture<String> text = new CompletableFuture<>();
        final CompletableFuture<byte[]> bytes = new CompletableFuture<>();
        final CompletableFuture<Integer> closed = new CompletableFuture<>();
        final StringBuilder texts = new StringBuilder();
        final ByteBuffer parts = ByteBuffer.allocate(LARGE);

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
            texts.append(data);
            if (last) text.complete(texts.toString());
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
            parts.put(data);
            if (last) bytes.complete(Arrays.copyOf(parts.array(), parts.position()));
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int status, String reason) {
            closed.complete(status);
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            text.completeExceptionally(error);
            bytes.completeExceptionally(error);
            closed.completeExceptionally(error);
        }
    }

    /** Without time-outs, and without a judgement of what a slow machine's small frames mean. */
    static Http2Protocol patient() {
        Http2Protocol protocol = new Http2Protocol();
        protocol.setReadTimeout(-1);
        protocol.setWriteTimeout(-1);
        protocol.setKeepAliveTimeout(-1);
        protocol.setStreamReadTimeout(-1);
        protocol.setStreamWriteTimeout(-1);
        protocol.setOverheadCountFactor(0);
        protocol.setOverheadDataThreshold(0);
        protocol.setOverheadWindowUpdateThreshold(0);
        return protocol;
    }

    public static void main(String[] args) throws Exception {
        LOGGER.setLevel(Level.SEVERE);
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("tomcat").toString());
        tomcat.setPort(0);
        Connector plain = tomcat.getConnector();
        plain.addUpgradeProtocol(patient());

        Connector secure = new Connector();
        secure.setPort(0);
        secure.setScheme("https");
        secure.setSecure(true);
        secure.setProperty("SSLEnabled", "true");
        SSLHostConfig host = new SSLHostConfig();
        SSLHostConfigCertificate certificate = new SSLHostConfigCertificate(host, SSLHostConfigCertificate.Type.RSA);
        certificate.setCertificateKeystoreFile(args[0]);
        certificate.setCertificateKeystorePassword("changeit");
        host.addCertificate(certificate);
        secure.addSslHostConfig(host);
        secure.addUpgradeProtocol(patient());
        tomcat.getService().addConnector(secure);

        Context context = tomcat.addContext("", Files.createTempDirectory("root").toString());
        Tomcat.addServlet(context, "echo", new Echo());
        context.addServletMappingDecoded("/echo", "echo");
        context.addServletContainerInitializer(new WsSci(), null);
        context.addServletContainerInitializer((classes, servlets) -> {
            try {
                ((ServerContainer) servlets.getAttribute(ServerContainer.class.getName())).addEndpoint(Socket.class);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }, null);
        // WebSocket's filter sees only what a servlet is mapped to.
        Tomcat.addServlet(context, "default", "org.apache.catalina.servlets.DefaultServlet");
        context.addServletMappingDecoded("/", "default");
        tomcat.start();

        HttpClient client = HttpClient.newHttpClient();
        URI clear = URI.create("http://localhost:" + plain.getLocalPort() + "/echo");
        System.out.println("h2c, first: " + exchange(client, clear, 1, 10));
        System.out.println("h2c, large: " + exchange(client, clear, 2, LARGE));
        System.out.println("h2c, together: " + together(client, clear, 20));

        KeyStore keys = KeyStore.getInstance(new File(args[0]), "changeit".toCharArray());
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(keys);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        HttpClient trusting = HttpClient.newBuilder().sslContext(tls).build();
        URI encrypted = URI.create("https://localhost:" + secure.getLocalPort() + "/echo");
        System.out.println("h2, first: " + exchange(trusting, encrypted, 3, 10));
        System.out.println("h2, large: " + exchange(trusting, encrypted, 4, LARGE));
        System.out.println("h2, together: " + together(trusting, encrypted, 20));

        Listener listener = new Listener();
        URI socketUri = URI.create("ws://localhost:" + plain.getLocalPort() + "/socket");
        WebSocket socket = client.newWebSocketBuilder().buildAsync(socketUri, listener).join();
        socket.sendText("a greeting", true).join();
        System.out.println("websocket text: " + listener.text.join());
        socket.sendBinary(ByteBuffer.wrap(pattern(5, LARGE)), true).join();
        System.out.println("websocket bytes: " + Arrays.equals(listener.bytes.join(), pattern(5, LARGE)));
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
        System.out.println("websocket closed: " + listener.closed.join());
        System.exit(0);
    }
}
