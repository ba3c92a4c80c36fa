import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Which parts of the JVM's memory are in 2 MiB pages, by /proc/self/smaps. Says "yes" or "no" where the kernel is Demitasse;
 * Linux with its defaults has none, so there everything is "yes": the program is the same, the claim is ours.
 * Arguments: least MiB of the heap in large pages; what is to be looked at (anon or shmem).
 */
public class LargePages {
    static byte[][] keep;

    public static void main(String[] args) throws Exception {
        int least = Integer.parseInt(args[0]);
        keep = new byte[64][];
        for (int i = 0; i < keep.length; i++) {
            keep[i] = new byte[1 << 20];
            keep[i][i] = (byte) i;
        }
        boolean here = Files.readString(Path.of("/proc/version")).contains("demitasse");
        long anon = kib("AnonHugePages:") >> 10;
        long shmem = kib("ShmemPmdMapped:") >> 10;
        if (args.length > 2) {
            System.out.println("anonymous " + anon + " MiB, shared " + shmem + " MiB");
        }
        long found = args[1].equals("shmem") ? shmem : anon;
        System.out.println("large pages: " + (!here || found >= least ? "yes" : "no, " + found + " MiB"));
    }

    static long kib(String field) throws Exception {
        long sum = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            if (line.startsWith(field)) {
                sum += Long.parseLong(line.replaceAll("\\D+", ""));
            }
        }
        return sum;
    }
}
