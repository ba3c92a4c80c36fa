import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;

/** Asks the resolver for the names and addresses of its command line, then for its own name and how long that took. */
public class Lookup {
    public static void main(String[] args) throws Exception {
        for (String name : args) {
            try {
                InetAddress[] all = InetAddress.getAllByName(name);
                // A literal is asked the other way round.
                boolean literal = all.length == 1 && all[0].getHostAddress().equals(name);
                String answer = literal ? InetAddress.getByName(name).getCanonicalHostName()
                        : Arrays.toString(Arrays.stream(all).map(InetAddress::getHostAddress).sorted().toArray());
                System.out.println(name + " is " + answer);
            } catch (UnknownHostException e) {
                System.out.println(name + " is unknown");
            }
        }
        System.out.println("here: " + InetAddress.getLocalHost());
    }
}
