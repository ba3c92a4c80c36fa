import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Asks another machine's Serve: ARGS are its address and sizes. Waits until it is there. */
public class Fetch {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int at = 1; at < args.length; at++) {
            URI uri = URI.create("http://" + args[0] + "/" + args[at]);
            System.out.println(args[at] + ": " + ask(client, HttpRequest.newBuilder(uri).build()));
        }
    }

    static int ask(HttpClient client, HttpRequest request) throws Exception {
        while (true) {
            try {
                return client.send(request, HttpResponse.BodyHandlers.ofByteArray()).body().length;
            } catch (IOException notYet) {
                Thread.sleep(200);
            }
        }
    }
}
