import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;

/**
 * File operations on a volume, one case after the other: {@code FileLoad DIRECTORY [PAUSE_MS]}. Around the operations of each case it
 * prints {@code data begin NAME} and {@code data end NAME OPERATIONS NANOSECONDS} and then waits PAUSE_MS, in which the host reads the
 * machine's instruction counter. The directory holds the files warm, cold-read and cold-map of {@link #BYTES} each.
 */
public final class FileLoad {
    static final int BYTES = 64 << 20;
    static final int PAGE = 4096;
    static final int PIECE = 1 << 20;

    interface Case {
        void run(int operations) throws IOException;
    }

    static int pause;
    static long sum;

    public static void main(String[] args) throws Exception {
        measure("rehearsal", operations -> sum += operations, 0, 1);
        Path directory = Path.of(args[0]);
        pause = args.length > 1 ? Integer.parseInt(args[1]) : 0;
        ByteBuffer page = ByteBuffer.allocateDirect(PAGE);
        ByteBuffer piece = ByteBuffer.allocateDirect(PIECE);
        // What is read cold is never warmed up: its code is that of the warm case before it.
        try (FileChannel file = FileChannel.open(directory.resolve("warm"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            Case sequential = operations -> readPieces(file, piece, operations);
            measure("sequential_read_warm", sequential, 64, 64);
            measure("random_read_4k", operations -> randomPages(file, page, operations, false), 4000, 8000);
            measure("random_write_4k", operations -> randomPages(file, page, operations, true), 4000, 8000);
            Case mapped = operations -> touch(file, operations);
            measure("map_read_warm", mapped, BYTES / PAGE, BYTES / PAGE);
        }
        try (FileChannel file = FileChannel.open(directory.resolve("cold-read"), StandardOpenOption.READ)) {
            measure("sequential_read_cold", operations -> readPieces(file, piece, operations), 0, BYTES / PIECE);
        }
        try (FileChannel file = FileChannel.open(directory.resolve("cold-map"), StandardOpenOption.READ)) {
            measure("map_read_cold", operations -> touch(file, operations), 0, BYTES / PAGE);
        }
        // The second file is as new as the first was: its blocks are given out in the measured part.
        try (FileChannel first = create(directory.resolve("first")); FileChannel second = create(directory.resolve("second"))) {
            writePieces(first, piece, BYTES / PIECE);
            measure("sequential_write", operations -> writePieces(second, piece, operations), 0, BYTES / PIECE);
        }
        try (FileChannel file = create(directory.resolve("appended"))) {
            measure("append_force", operations -> append(file, page, operations), 50, 200);
        }
        System.out.println("data all " + (sum != 0));
    }

    static FileChannel create(Path path) throws IOException {
        return FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE);
    }

    static void measure(String name, Case run, int warmUp, int operations) throws Exception {
        run.run(warmUp);
        // What the compiler still does for it is not the operation's.
        Thread.sleep(4L * pause);
        System.out.println("data begin " + name);
        Thread.sleep(pause);
        long start = System.nanoTime();
        run.run(operations);
        long time = System.nanoTime() - start;
        System.out.println("data end " + name + " " + operations + " " + time);
        Thread.sleep(pause);
    }

    static void readPieces(FileChannel file, ByteBuffer piece, int operations) throws IOException {
        for (int at = 0; at < operations; at++) {
            piece.clear();
            while (piece.hasRemaining() && file.read(piece, (long) at * PIECE + piece.position()) > 0) {
            }
            sum += piece.get(at);
        }
    }

    static void writePieces(FileChannel file, ByteBuffer piece, int operations) throws IOException {
        for (int at = 0; at < operations; at++) {
            piece.clear();
            file.write(piece, (long) at * PIECE);
        }
        file.force(false);
    }

    static void randomPages(FileChannel file, ByteBuffer page, int operations, boolean writes) throws IOException {
        Random random = new Random(7);
        for (int at = 0; at < operations; at++) {
            long offset = (long) random.nextInt(BYTES / PAGE) * PAGE;
            page.clear();
            sum += writes ? file.write(page, offset) : file.read(page, offset);
        }
    }

    static void append(FileChannel file, ByteBuffer page, int operations) throws IOException {
        for (int at = 0; at < operations; at++) {
            page.clear();
            file.write(page);
            file.force(false);
        }
    }

    static void touch(FileChannel file, int pages) throws IOException {
        MappedByteBuffer map = file.map(FileChannel.MapMode.READ_ONLY, 0, BYTES);
        for (int at = 0; at < pages; at++) {
            sum += map.get(at * PAGE);
        }
    }

    private FileLoad() {
    }
}
