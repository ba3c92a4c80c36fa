import java.util.ArrayList;
import java.util.List;

/** Fills the heap and does not catch the error. */
public class Exhaust {
    public static void main(String[] args) {
        System.out.println("filling");
        List<byte[]> all = new ArrayList<>();
        while (true) {
            all.add(new byte[1 << 20]);
        }
    }
}
