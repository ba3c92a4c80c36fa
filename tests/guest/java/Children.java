import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/** Child processes where there can be none: an IOException at once, each time, and the program goes on. */
public class Children {
    static void attempt(String what, Callable<Process> start) throws Exception {
        try {
            Process process = start.call();
            System.out.println(what + ": started, " + process.waitFor());
        } catch (IOException e) {
            System.out.println(what + ": " + e.getMessage() + (e.getCause() == null ? "" : " because " + e.getCause().getMessage()));
        }
    }

    public static void main(String[] args) throws Exception {
        attempt("ProcessBuilder", () -> new ProcessBuilder("/bin/echo", "hi").start());
        attempt("directory", () -> new ProcessBuilder("/bin/echo", "hi").directory(Path.of("/").toFile()).start());
        attempt("inheritIO", () -> new ProcessBuilder("/bin/true").inheritIO().start());
        attempt("redirect", () -> new ProcessBuilder("/bin/true").redirectErrorStream(true).redirectOutput(Path.of("/tmp/out").toFile()).start());
        attempt("Runtime.exec", () -> Runtime.getRuntime().exec(new String[] {"/bin/true"}));
        attempt("no such program", () -> new ProcessBuilder("/no/such").start());
        attempt("no such directory", () -> new ProcessBuilder("/bin/true").directory(Path.of("/no/such").toFile()).start());
        for (int i = 0; i < 200; i++) {
            try {
                new ProcessBuilder("/bin/true").start();
                System.out.println("started");
            } catch (IOException e) {
                // Expected; a descriptor or a thread left behind by each would show below.
            }
        }
        System.out.println("children " + ProcessHandle.current().children().count());
        long open = Files.list(Path.of("/proc/self/fd")).count();
        System.out.println("few descriptors " + (open < 100));
        Thread thread = new Thread(() -> System.out.println("threads still start"));
        thread.start();
        thread.join();
        System.out.println(System.getProperty("os.name") + " " + System.getProperty("os.arch") + " " + System.getProperty("os.version").matches("\\d+\\.\\d+.*"));
        System.out.println("alive " + ProcessHandle.current().isAlive() + ", command " + ProcessHandle.current().info().command().orElse("none").endsWith("/bin/java"));
    }
}
