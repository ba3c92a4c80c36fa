import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * What happens on the host before tests run: compiling, and the copying of class files that jdk.test.lib.helpers.ClassFileInstaller does.
 * Reads a file of lines; "job FOLDER" begins a test, then for each step "step KIND" and its "arg VALUE" lines. Writes FOLDER/prepared:
 * empty, or what went wrong first.
 */
public final class Prepare {
    private static final JavaCompiler JAVAC = ToolProvider.getSystemJavaCompiler();

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(Integer.parseInt(args[1]));
        List<List<String>> steps = null;
        Path folder = null;
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String value = line.substring(line.indexOf(' ') + 1);
            if (line.startsWith("job ")) {
                submit(pool, folder, steps);
                folder = Path.of(value);
                steps = new ArrayList<>();
            } else if (line.startsWith("step ")) {
                steps.add(new ArrayList<>(List.of(value)));
            } else {
                steps.get(steps.size() - 1).add(value);
            }
        }
        submit(pool, folder, steps);
        pool.shutdown();
        pool.awaitTermination(1, TimeUnit.DAYS);
    }

    private static void submit(ExecutorService pool, Path folder, List<List<String>> steps) {
        if (folder != null) {
            pool.submit(() -> {
                String problem = "";
                try {
                    for (List<String> step : steps) {
                        step(folder, step.get(0), step.subList(1, step.size()));
                    }
                } catch (Throwable e) {
                    problem = e.getMessage() == null || e.getMessage().isEmpty() ? e.toString() : e.getMessage();
                }
                Files.writeString(folder.resolve("prepared"), problem);
                return null;
            });
        }
    }

    private static void step(Path folder, String kind, List<String> args) throws Exception {
        switch (kind) {
            case "javac" -> javac(args);
            // Compilation has to fail.
            case "javac-fail" -> {
                try {
                    javac(args);
                } catch (IOException expected) {
                    return;
                }
                throw new IOException("compiles, but should not");
            }
            case "javac-all" -> {
                List<String> all = new ArrayList<>();
                for (Module module : ModuleLayer.boot().modules()) {
                    for (String name : module.getPackages()) {
                        all.addAll(List.of("--add-exports", module.getName() + "/" + name + "=ALL-UNNAMED"));
                    }
                }
                all.addAll(args);
                javac(all);
            }
            case "jasm", "jcoder" -> assemble(kind, args);
            case "clean" -> {
                for (String name : args) {
                    clean(folder.resolve("classes"), name);
                }
            }
            case "install" -> install(folder, args);
            default -> throw new IOException("unknown step " + kind);
        }
    }

    private static void javac(List<String> args) throws IOException {
        List<String> options = new ArrayList<>(), files = new ArrayList<>();
        for (String arg : args) {
            (arg.endsWith(".java") ? files : options).add(arg);
        }
        StringWriter messages = new StringWriter();
        try (StandardJavaFileManager manager = JAVAC.getStandardFileManager(null, null, null)) {
            boolean isGood = JAVAC.getTask(messages, manager, null, options, null, manager.getJavaFileObjects(files.toArray(new String[0]))).call();
            if (!isGood) {
                throw new IOException("javac: " + messages);
            }
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw new IOException("javac: " + e.getMessage());
        }
    }

    /** AsmTools keep state in static fields: one at a time. */
    private static synchronized void assemble(String tool, List<String> args) throws Exception {
        Class<?> type = Class.forName("org.openjdk.asmtools." + tool + ".Main");
        StringWriter messages = new StringWriter();
        Constructor<?> constructor = type.getConstructor(PrintWriter.class, String.class);
        Object main = constructor.newInstance(new PrintWriter(messages), tool);
        boolean isGood = (Boolean) type.getMethod("compile", String[].class).invoke(main, (Object) args.toArray(new String[0]));
        if (!isGood) {
            throw new IOException(tool + ": " + messages);
        }
    }

    /** "a.b.C", "a.b.*", "*": the class files go. */
    private static void clean(Path classes, String name) throws IOException {
        String path = name.replace('.', '/');
        if (!name.endsWith("*")) {
            Files.deleteIfExists(classes.resolve(path + ".class"));
            return;
        }
        Path directory = classes.resolve(path.substring(0, path.length() - 1));
        if (Files.isDirectory(directory)) {
            try (Stream<Path> files = Files.list(directory)) {
                for (Path file : (Iterable<Path>) files::iterator) {
                    if (file.toString().endsWith(".class")) {
                        Files.delete(file);
                    }
                }
            }
        }
    }

    /** Copies class files from the class path (the first argument) to the scratch folder, or into a jar there. */
    private static void install(Path folder, List<String> args) throws IOException {
        List<String> names = new ArrayList<>(args.subList(1, args.size()));
        Path scratch = Files.createDirectories(folder.resolve("scratch"));
        if (!names.get(0).equals("-jar")) {
            for (String name : names) {
                String path = name.replace('.', '/') + ".class";
                Path to = scratch.resolve(path);
                Files.createDirectories(to.getParent());
                Files.write(to, find(args.get(0), path));
            }
            return;
        }
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().putValue("Manifest-Version", "1.0");
        try (JarOutputStream jar = new JarOutputStream(Files.newOutputStream(scratch.resolve(names.get(1))), manifest)) {
            for (String name : names.subList(2, names.size())) {
                String path = name.replace('.', '/') + ".class";
                jar.putNextEntry(new ZipEntry(path));
                jar.write(find(args.get(0), path));
            }
        }
    }

    private static byte[] find(String classPath, String path) throws IOException {
        for (String entry : classPath.split(File.pathSeparator)) {
            Path file = Path.of(entry, path);
            if (Files.isRegularFile(file)) {
                return Files.readAllBytes(file);
            }
        }
        throw new IOException("ClassFileInstaller: no " + path);
    }
}
