import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.TimeZone;

/**
 * Runs actions of jtreg tests: "one FILE" one of them, in a JVM that was started for it, "many MILLISECONDS:FILE..." one after
 * the other, each with a time limit and in a class loader, thread group and with properties of its own. A file describes an action (Action). Results go to the standard output
 * as lines that start with MARK. The rules are jtreg's: a test passes when its main method returns and no thread of its group died of
 * an exception; calling System.exit is a failure.
 */
public final class Runner {
    static final String MARK = "@@jtreg ";
    /** Exit statuses of "one": jtreg's own. */
    static final int PASSED = 95, FAILED = 97, SKIPPED = 96;
    /** Output that is kept of a test, in bytes. */
    static final int KEPT = 16 << 10;
    /** Time for threads that a test leaves behind, in milliseconds. */
    static final long GRACE = 3000;

    /** What the test is to see; the real streams of the process. */
    static final PrintStream OUT = new PrintStream(new FileOutputStream(FileDescriptor.out), true);

    public static void main(String[] args) throws Throwable {
        if (args[0].equals("one")) {
            one(new Action(Path.of(args[1])));
        } else {
            for (int i = 1; i < args.length; i++) {
                int colon = args[i].indexOf(':');
                if (!many(new Action(Path.of(args[i].substring(colon + 1))), Long.parseLong(args[i].substring(0, colon)))) {
                    OUT.println(MARK + "spoiled");
                    OUT.flush();
                    Runtime.getRuntime().halt(0);
                }
            }
            OUT.flush();
            Runtime.getRuntime().halt(0);
        }
    }

    private static void one(Action action) throws Throwable {
        action.properties.forEach(System::setProperty);
        Group group = new Group();
        Outcome outcome = run(action, group, ClassLoader.getSystemClassLoader(), 0);
        group.finish();
        outcome = outcome.with(group.uncaught);
        if (outcome.problem != null) {
            outcome.problem.printStackTrace();
        }
        System.out.flush();
        System.err.flush();
        int status = outcome.isSkipped() ? SKIPPED : outcome.problem != null ? FAILED : PASSED;
        System.exit(status);
    }

    /** Whether this JVM can run a further test. */
    private static boolean many(Action action, long limit) throws Throwable {
        Properties properties = (Properties) System.getProperties().clone();
        PrintStream out = System.out, err = System.err;
        InputStream in = System.in;
        Locale locale = Locale.getDefault();
        TimeZone zone = TimeZone.getDefault();
        Thread.UncaughtExceptionHandler handler = Thread.getDefaultUncaughtExceptionHandler();
        OUT.println();
        OUT.println(MARK + "begin " + action.id);
        OUT.flush();
        Kept kept = new Kept();
        PrintStream stream = new PrintStream(kept, true);
        System.setOut(stream);
        System.setErr(stream);
        System.setIn(InputStream.nullInputStream());
        action.properties.forEach(System::setProperty);
        long start = System.nanoTime();
        Outcome outcome;
        Group group = new Group();
        List<URL> urls = new ArrayList<>();
        for (String entry : action.classPath.split(File.pathSeparator)) {
            urls.add(new File(entry).toURI().toURL());
        }
        URLClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), ClassLoader.getSystemClassLoader());
        Module unnamed = loader.getUnnamedModule();
        for (String export : action.exports) {
            export(export, unnamed, false);
        }
        for (String open : action.opens) {
            export(open, unnamed, true);
        }
        outcome = run(action, group, loader, limit);
        boolean isClean = !outcome.isHung && group.finish();
        outcome = outcome.with(group.uncaught);
        boolean isSecured = System.getSecurityManager() != null;
        if (!isSecured) {
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
            System.setProperties(properties);
            Locale.setDefault(locale);
            TimeZone.setDefault(zone);
            Thread.setDefaultUncaughtExceptionHandler(handler);
            Thread.currentThread().setContextClassLoader(ClassLoader.getSystemClassLoader());
        }
        String word = outcome.problem == null ? "pass" : outcome.isSkipped() ? "skip" : "fail";
        StringBuilder line = new StringBuilder(MARK + word + " " + action.id + " " + (System.nanoTime() - start) / 1_000_000 + " ");
        if (outcome.problem != null) {
            StringWriter text = new StringWriter();
            outcome.problem.printStackTrace(new PrintWriter(text));
            escape(text + "\n" + kept, line);
        }
        OUT.println();
        OUT.println(line);
        OUT.flush();
        if (isSecured || !isClean) {
            return false;
        }
        loader.close();
        clean(new File("").getAbsoluteFile());
        return true;
    }

    private static void export(String text, Module to, boolean isOpen) {
        String[] parts = text.split("/");
        Module module = ModuleLayer.boot().findModule(parts[0]).orElse(null);
        if (module == null || !module.getPackages().contains(parts[1])) {
            return;
        }
        if (isOpen) {
            jdk.internal.module.Modules.addOpens(module, parts[1], to);
        } else {
            jdk.internal.module.Modules.addExports(module, parts[1], to);
        }
    }

    /** Runs the action in a thread of its own; limit in milliseconds, 0: none. */
    private static Outcome run(Action action, Group group, ClassLoader loader, long limit) throws InterruptedException {
        Throwable[] problem = new Throwable[1];
        Thread thread = new Thread(group, () -> {
            try {
                action.run(loader);
            } catch (InvocationTargetException e) {
                problem[0] = e.getCause();
            } catch (Throwable e) {
                problem[0] = e;
            }
        }, "MainThread");
        thread.setContextClassLoader(loader);
        thread.start();
        thread.join(limit);
        if (thread.isAlive()) {
            StringBuilder stacks = new StringBuilder("no end within " + limit + " ms");
            for (Map.Entry<Thread, StackTraceElement[]> entry : Thread.getAllStackTraces().entrySet()) {
                if (entry.getKey().getThreadGroup() == group) {
                    stacks.append("\n").append(entry.getKey());
                    for (StackTraceElement element : entry.getValue()) {
                        stacks.append("\n    at ").append(element);
                    }
                }
            }
            return new Outcome(new Error(stacks.toString()), true);
        }
        return new Outcome(problem[0], false);
    }

    /** What a test leaves in the working directory goes. */
    private static void clean(File directory) {
        File[] files = directory.listFiles();
        for (File file : files == null ? new File[0] : files) {
            if (!file.getName().startsWith("hsperfdata_")) {
                if (file.isDirectory() && !Files.isSymbolicLink(file.toPath())) {
                    clean(file);
                }
                file.delete();
            }
        }
    }

    private static void escape(String text, StringBuilder line) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '\\' -> line.append("\\\\");
                case '\n' -> line.append("\\n");
                case '\r' -> line.append("\\r");
                default -> line.append(c);
            }
        }
    }

    /** How an action ended. */
    private record Outcome(Throwable problem, boolean isHung) {
        Outcome with(Throwable uncaught) {
            return problem == null && uncaught != null ? new Outcome(uncaught, isHung) : this;
        }

        boolean isSkipped() {
            return problem != null && problem.getClass().getName().equals("jtreg.SkippedException");
        }
    }

    /** The threads of a test. */
    private static final class Group extends ThreadGroup {
        volatile Throwable uncaught;

        Group() {
            super("MainThreadGroup");
        }

        @Override
        public void uncaughtException(Thread thread, Throwable problem) {
            if (!(problem instanceof ThreadDeath) && uncaught == null) {
                uncaught = problem;
            }
        }

        /** Whether all threads ended in time; they are interrupted. */
        boolean finish() {
            long end = System.nanoTime() + GRACE * 1_000_000;
            Thread[] left = new Thread[1000];
            while (true) {
                int count = enumerate(left);
                if (count == 0) {
                    return true;
                }
                for (int i = 0; i < count; i++) {
                    left[i].interrupt();
                }
                if (System.nanoTime() > end) {
                    return false;
                }
                try {
                    left[0].join(20);
                } catch (InterruptedException e) {
                    // The test interrupted this thread: no reason to stop waiting.
                }
            }
        }
    }

    /** The last bytes of a test's output. */
    private static final class Kept extends OutputStream {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private byte[] before = new byte[0];

        @Override
        public synchronized void write(int value) {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public synchronized void write(byte[] data, int offset, int length) {
            bytes.write(data, offset, length);
            if (bytes.size() > KEPT) {
                before = bytes.toByteArray();
                bytes.reset();
            }
        }

        @Override
        public synchronized String toString() {
            String text = new String(before) + bytes;
            return text.substring(Math.max(0, text.length() - KEPT / 2));
        }
    }
}
