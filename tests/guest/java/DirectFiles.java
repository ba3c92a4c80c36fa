import com.sun.nio.file.ExtendedOpenOption;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32;

/** ExtendedOpenOption.DIRECT: aligned transfers, what is refused, and the same bytes through a channel with a cache. */
public final class DirectFiles {
    private DirectFiles() {
    }

    interface Act {
        Object run() throws IOException;
    }

    static void show(String what, Act act) {
        try {
            System.out.println(what + ": " + act.run());
        } catch (IOException | RuntimeException error) {
            System.out.println(what + ": " + error.getClass().getName() + ": " + error.getMessage());
        }
    }

    static long sum(Path file) throws IOException {
        CRC32 sum = new CRC32();
        sum.update(Files.readAllBytes(file));
        return sum.getValue();
    }

    public static void main(String[] args) throws IOException {
        Path file = Path.of(args[0], "direct");
        int block = (int) Files.getFileStore(Path.of(args[0])).getBlockSize();
        System.out.println("block size " + block);
        ByteBuffer buffer = ByteBuffer.allocateDirect(17 * block).alignedSlice(block);
        for (int i = 0; i < buffer.capacity(); i++) {
            buffer.put(i, (byte) (i * 31 + i / 512));
        }
        try (FileChannel direct = FileChannel.open(file, ExtendedOpenOption.DIRECT, StandardOpenOption.CREATE,
                StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            show("16 blocks", () -> direct.write(buffer.slice(0, 16 * block)));
            show("position", direct::position);
            show("sum", () -> sum(file));
            show("at 8 blocks", () -> direct.write(buffer.slice(0, 2 * block), 8L * block));
            show("100 bytes", () -> direct.write(buffer.slice(0, 100)));
            show("at byte 100", () -> direct.write(buffer.slice(0, block), 100));
            show("buffer at 1", () -> direct.write(buffer.slice(1, block)));
            show("sum", () -> sum(file));
            show("two buffers", () -> direct.write(new ByteBuffer[] {buffer.slice(0, block), buffer.slice(4 * block, block)}));
            show("read", () -> direct.read(buffer.slice(0, 4 * block), 7L * block));
            show("read 10 bytes", () -> direct.read(buffer.slice(0, 10), 0));
            show("read behind the end", () -> direct.read(buffer.slice(0, block), 100L * block));
            try (FileChannel cached = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                show("through the cache", () -> cached.write(ByteBuffer.wrap("through the cache".getBytes()), 3L * block + 5));
                show("read", () -> direct.read(buffer.slice(0, block), 3L * block));
                show("is there", () -> buffer.get(5) == 't' && buffer.get(21) == 'e');
                show("truncate", () -> cached.truncate(5L * block + 77).size());
                show("read to the end", () -> direct.read(buffer.slice(0, 2 * block), 4L * block));
            }
            show("sum", () -> sum(file));
            // The last one: afterwards JDK 17 cannot free this thread's own buffer, and readAllBytes fails.
            show("heap buffer", () -> direct.write(ByteBuffer.allocate(block), 4L * block));
            direct.force(true);
        }
        Files.delete(file);
    }
}
