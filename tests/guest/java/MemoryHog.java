import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;

/** Takes memory of one kind until the JVM or the kernel says no: MemoryHog KIND [ARGUMENT]. */
public class MemoryHog {
    static final List<Object> keep = new ArrayList<>();

    public static void main(String[] args) throws Throwable {
        String kind = args[0];
        try {
            switch (kind) {
                case "nothing" -> { }
                case "heap" -> { while (true) keep.add(new byte[1 << 20]); }
                case "direct" -> { while (true) keep.add(ByteBuffer.allocateDirect(4 << 20)); }
                case "metaspace" -> loadClasses();
                case "threads" -> startThreads();
                case "tmpfs" -> fill(Path.of("/tmp/hog"));
                case "mapped" -> mapped(Path.of(args[1]), Integer.parseInt(args[2]));
                default -> throw new IllegalArgumentException(kind);
            }
            System.out.println(kind + ": done");
        } catch (OutOfMemoryError e) {
            keep.clear();
            System.out.println(kind + ": " + e);
        } catch (IOException e) {
            System.out.println(kind + ": " + e.getMessage());
        }
        // Threads of the hog are no daemons.
        System.exit(0);
    }

    /** What is defined again and again. */
    static class Filler {
        int a() { return 1; }
        long b(String s, int[] x) { return s.length() + x.length; }
    }

    static class Loader extends ClassLoader {
        Class<?> define(byte[] bytes) { return defineClass("MemoryHog$Filler", bytes, 0, bytes.length); }
    }

    static void loadClasses() throws IOException {
        byte[] bytes;
        try (var in = MemoryHog.class.getResourceAsStream("MemoryHog$Filler.class")) {
            bytes = in.readAllBytes();
        }
        while (true) keep.add(new Loader().define(bytes));
    }

    static void startThreads() {
        CountDownLatch never = new CountDownLatch(1);
        while (true) {
            Thread thread = new Thread(() -> {
                try {
                    never.await();
                } catch (InterruptedException e) {
                    // It ends with the program.
                }
            });
            thread.start();
            keep.add(thread);
        }
    }

    static void fill(Path path) throws IOException {
        byte[] piece = new byte[1 << 20];
        try (var out = Files.newOutputStream(path)) {
            while (true) out.write(piece);
        } finally {
            Files.delete(path);
        }
    }

    /** A file of so many MiB, written through one mapping, then changed and read through another. */
    static void mapped(Path path, int mib) throws IOException {
        long size = (long) mib << 20;
        try (var channel = FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
            MappedByteBuffer map = channel.map(FileChannel.MapMode.READ_WRITE, 0, size);
            for (int at = 0; at < size; at += 4096) map.putInt(at, at ^ 0x5eed);
            MappedByteBuffer again = channel.map(FileChannel.MapMode.READ_WRITE, 0, size);
            for (int at = 0; at < size; at += 4096) {
                if (again.getInt(at) != (at ^ 0x5eed)) throw new AssertionError("page " + at / 4096);
                if (at % (16 * 4096) == 0) again.putInt(at + 4, at);
            }
            map.force();
        }
        try (var file = new RandomAccessFile(path.toFile(), "r")) {
            for (int at = 0; at < size; at += 64 * 4096) {
                file.seek(at);
                if (file.readInt() != (at ^ 0x5eed) || file.readInt() != at) throw new AssertionError("byte " + at);
            }
        }
    }
}
