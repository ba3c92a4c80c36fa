import com.sun.tools.attach.VirtualMachine;
import java.io.InputStream;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Properties;
import java.util.TreeSet;

/** Attaches to itself and gives the commands that jcmd gives. Needs -Djdk.attach.allowAttachSelf=true and HotSpotVirtualMachine exported. */
public class AttachSelf {
    public static void main(String[] args) throws Exception {
        String pid = Long.toString(ProcessHandle.current().pid());
        Thread parked = new Thread(() -> {
            try {
                Thread.sleep(1_000_000);
            } catch (InterruptedException e) {
                System.out.println("interrupted");
            }
        }, "a thread to find");
        parked.setDaemon(true);
        parked.start();
        VirtualMachine vm = VirtualMachine.attach(pid);
        Path socket = Path.of("/tmp/.java_pid" + pid);
        System.out.println("socket " + PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)) + " of " + Files.getOwner(socket));
        System.out.println("trigger left: " + Files.exists(Path.of("/tmp/.attach_pid" + pid)));
        Properties properties = vm.getSystemProperties();
        System.out.println("os.name " + properties.getProperty("os.name") + ", same user " + properties.getProperty("user.name").equals(System.getProperty("user.name")));
        threads(command(vm, "Thread.print"));
        System.out.println("GC.heap_info\n" + command(vm, "GC.heap_info").replaceAll("0x[0-9a-f]+", "ADDRESS"));
        kinds(command(vm, "VM.native_memory summary"));
        System.out.println("VM.command_line " + command(vm, "VM.command_line").contains("AttachSelf"));
        System.out.println("VM.version " + command(vm, "VM.version").contains(System.getProperty("java.vm.version")));
        System.out.println("VM.flags " + command(vm, "VM.flags").contains("-XX:"));
        System.out.println("GC.class_histogram " + command(vm, "GC.class_histogram").contains("java.lang.String"));
        System.out.println("VM.info " + command(vm, "VM.info").contains("OS:"));
        System.out.println(command(vm, "No.such_command").trim());
        vm.detach();
        // A second time, the socket is there already.
        VirtualMachine again = VirtualMachine.attach(pid);
        System.out.println("again " + again.id().equals(pid));
        again.detach();
        try {
            VirtualMachine.attach("99999");
            System.out.println("attached to nobody");
        } catch (Exception e) {
            System.out.println(e);
        }
    }

    static String command(VirtualMachine vm, String command) throws Exception {
        Method method = Class.forName("sun.tools.attach.HotSpotVirtualMachine").getMethod("executeJCmd", String.class);
        try (InputStream answer = (InputStream) method.invoke(vm, command)) {
            return new String(answer.readAllBytes(), StandardCharsets.UTF_8);
        } catch (java.lang.reflect.InvocationTargetException e) {
            return e.getCause().toString();
        }
    }

    static void threads(String dump) {
        TreeSet<String> names = new TreeSet<>();
        boolean isMain = false;
        for (String line : dump.split("\n")) {
            // The state of the one thread that is at a known place: main reads from the socket that this comes through.
            // Another thread, such as Common-Cleaner, may or may not have got to its wait.
            if (isMain) {
                names.add(line.trim());
            }
            isMain = line.startsWith("\"main\"");
            boolean isJava = line.startsWith("\"main\"") || line.startsWith("\"a thread") || line.startsWith("\"Reference") || line.startsWith("\"Attach");
            if (isJava || line.startsWith("\"VM ")) {
                names.add(line.substring(0, line.indexOf('"', 1) + 1));
            }
        }
        System.out.println("Thread.print " + names);
    }

    static void kinds(String text) {
        for (String line : text.split("\n")) {
            if (line.startsWith("-") && line.contains("(reserved=") && !line.contains("Object Monitors")) {
                System.out.println("VM.native_memory " + line.substring(1, line.indexOf("(reserved")).trim());
            }
        }
    }
}
