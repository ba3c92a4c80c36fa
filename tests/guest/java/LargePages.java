import java.lang.invoke.MethodHandles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Which parts of the JVM's memory are in 2 MiB pages, by /proc/self/smaps. Says "yes" or "no" where the kernel is Demitasse;
 * Linux with its defaults has none, so there everything is "yes": the program is the same, the claim is ours.
 * Arguments: least MiB in large pages; what is to be looked at: anon or shmem (the heap), code, cds (the class data archive), or
 * metaspace, which is filled with classes first and of whose growth half must be in large pages, and the least.
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
        long anon = rollup("AnonHugePages:") >> 10;
        long shmem = rollup("ShmemPmdMapped:") >> 10;
        if (args.length > 2) {
            System.out.println("anonymous " + anon + " MiB, shared " + shmem + " MiB");
        }
        long found = switch (args[1]) {
            case "shmem" -> shmem;
            case "code" -> kib("rwxp", "") >> 10;
            case "cds" -> kib("", ".jsa") >> 10;
            case "metaspace" -> metaspace();
            default -> anon;
        };
        System.out.println("large pages: " + (!here || found >= least ? "yes" : "no, " + found + " MiB"));
    }

    /** What is defined again and again. */
    static class Filler {
        int a() { return 1; }
        long b(String s, int[] x) { return s.length() + x.length; }
    }

    /** MiB of large pages that 20 MiB of classes have brought, if that is at least half of what metaspace has grown by. */
    static long metaspace() throws Exception {
        byte[] bytes;
        try (var in = LargePages.class.getResourceAsStream("LargePages$Filler.class")) {
            bytes = in.readAllBytes();
        }
        var pool = java.lang.management.ManagementFactory.getMemoryPoolMXBeans().stream()
                .filter(p -> p.getName().equals("Metaspace")).findFirst().orElseThrow();
        long first = pool.getUsage().getUsed() >> 20;
        long large = kib("rw-p", "") >> 10;
        List<Class<?>> classes = new ArrayList<>();
        while ((pool.getUsage().getUsed() >> 20) - first < 20) {
            for (int i = 0; i < 500; i++) {
                classes.add(MethodHandles.lookup().defineHiddenClass(bytes, false).lookupClass());
            }
        }
        long grown = (pool.getUsage().getCommitted() >> 20) - first;
        long found = (kib("rw-p", "") >> 10) - large;
        return found >= grown / 2 ? found : 0;
    }

    /** The large anonymous pages of all areas whose permissions begin, and whose file ends, so; in KiB. */
    static long kib(String permissions, String file) throws Exception {
        long sum = 0;
        boolean counts = false;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            String[] words = line.split(" +");
            if (words[0].matches("[0-9a-f]+-[0-9a-f]+")) {
                counts = words[1].startsWith(permissions) && line.endsWith(file);
            } else if (counts && words[0].equals("AnonHugePages:")) {
                sum += Long.parseLong(words[1]);
            }
        }
        return sum;
    }

    static long rollup(String field) throws Exception {
        long sum = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            if (line.startsWith(field)) {
                sum += Long.parseLong(line.replaceAll("\\D+", ""));
            }
        }
        return sum;
    }
}
