import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;

/** Dumps its heap (or, with "oom", lets the VM dump it when it is full) and reads the dump to its last byte. */
public class HeapDump {
    static final List<Object> KEPT = new ArrayList<>();

    static class Marked {
        int value = 42;
    }

    public static void main(String[] args) throws Exception {
        KEPT.add(new Marked());
        Path file = Path.of("/tmp/dump.hprof");
        if (args.length > 0) {
            try {
                while (true) {
                    KEPT.add(new byte[1 << 20]);
                }
            } catch (OutOfMemoryError e) {
                KEPT.clear();
                System.out.println(e.getMessage());
            }
        } else {
            ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class).dumpHeap(file.toString(), true);
        }
        read(file);
    }

    /** The format is in HotSpot's heapDumper.cpp. */
    static void read(Path file) throws Exception {
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
            StringBuilder format = new StringBuilder();
            for (int c = in.readByte(); c != 0; c = in.readByte()) {
                format.append((char) c);
            }
            System.out.println(format + ", " + in.readInt() + " bytes an identifier");
            in.readLong();
            TreeSet<String> tags = new TreeSet<>();
            boolean isMarked = false;
            while (true) {
                int tag;
                try {
                    tag = in.readUnsignedByte();
                } catch (EOFException e) {
                    break;
                }
                in.readInt();
                long length = in.readInt() & 0xffffffffL;
                tags.add(Integer.toHexString(tag));
                if (tag == 1) {
                    byte[] text = new byte[(int) length];
                    in.readFully(text);
                    isMarked |= new String(text, 8, text.length - 8, StandardCharsets.UTF_8).equals("HeapDump$Marked");
                } else {
                    in.skipNBytes(length);
                }
            }
            System.out.println("records " + tags + ", the class is there: " + isMarked);
        }
    }
}
